#include "jobs/cli/board_pick.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/report/text.h"

#define DIR_PATIENCE_MS     3000
#define CLUSTER_PATIENCE_MS 120000

static int check_no_cluster(struct vf_cli *cli, const struct vf_cluster_args *cluster,
                            struct vf_error **err)
{
    const char *given = cluster->namespace_name ? "namespace"
                        : cluster->kubeconfig   ? "kubeconfig"
                        : cluster->context      ? "context"
                        : cluster->timeout_s    ? "cluster-timeout"
                                                : NULL;
    return given ? vf_cli_misuse(cli, err, "option \"--%s\" does not go with dir:PATH", given) : 0;
}

static int pick_dir(struct vf_cli *cli, const char *path, const struct vf_cluster_args *cluster,
                    struct vf_picked_board *ret, struct vf_error **err)
{
    int rc = check_no_cluster(cli, cluster, err);
    if (rc == 0) {
        *ret = (struct vf_picked_board){
            .board = vf_board_dir_new(path), .path = path, .patience_ms = DIR_PATIENCE_MS};
        ret->board->cancel = cli->cancel;
    }
    return rc;
}

static int pick_cluster(struct vf_cli *cli, const char *name, const struct vf_cluster_args *cluster,
                        struct vf_picked_board *ret, struct vf_error **err)
{
    const struct vf_cluster_options where = vf_cluster_options_of(cluster);
    const struct vf_board_cluster_options options = {
        .where = &where, .name = name, .cancel = cli->cancel};
    struct vf_board *board = NULL;
    int rc = vf_board_cluster_open(&options, &board, err);
    if (rc == 0) {
        *ret = (struct vf_picked_board){
            .board = board, .name = name, .patience_ms = CLUSTER_PATIENCE_MS};
    }
    return rc;
}

int vf_board_pick(struct vf_cli *cli, const char *operand, const struct vf_cluster_args *cluster,
                  struct vf_picked_board *ret, struct vf_error **err)
{
    if (strncmp(operand, "dir:", 4) == 0 && operand[4]) {
        return pick_dir(cli, operand + 4, cluster, ret, err);
    }
    if (!*operand || strchr(operand, ':') || strchr(operand, '/')) {
        char *vf_autofree shown = vf_text_safe(operand);
        return vf_cli_misuse(
            cli, err, "\"%s\" is neither dir:PATH nor the name of a migration in a cluster", shown);
    }
    return pick_cluster(cli, operand, cluster, ret, err);
}

void vf_board_unpick(struct vf_picked_board *p)
{
    vf_board_free(vf_take(p->board));
}

int vf_board_fetch_status(const struct vf_picked_board *p, struct vf_migration_status *ret,
                          bool *ret_alive, struct vf_error **err)
{
    int rc = p->board->ops->fetch_alive(p->board, ret_alive, err);
    return rc ? rc : p->board->ops->fetch_status(p->board, ret, err);
}

static int list_one(struct vf_cli *cli, const char *operand, const struct vf_cluster_args *cluster,
                    struct vf_board_list *ret, struct vf_error **err)
{
    struct vf_picked_board picked = {0};
    ret->migrations = vf_xcalloc(1, sizeof *ret->migrations);
    int rc = vf_board_pick(cli, operand, cluster, &picked, err);
    if (picked.board) {
        rc = vf_board_fetch_status(&picked, &ret->migrations->status, &ret->migrations->alive, err);
    }
    ret->n = 1;
    vf_board_unpick(&picked);
    return rc;
}

int vf_board_list(struct vf_cli *cli, const char *operand, const struct vf_cluster_args *cluster,
                  struct vf_board_list *ret, struct vf_error **err)
{
    const struct vf_cluster_options where = vf_cluster_options_of(cluster);
    int rc = operand
                 ? list_one(cli, operand, cluster, ret, err)
                 : vf_cluster_fetch_migrations(&where, cli->cancel, &ret->migrations, &ret->n, err);
    if (rc) {
        vf_board_list_release(ret);
        return rc;
    }
    ret->rows = vf_xcalloc(ret->n, sizeof *ret->rows);
    for (size_t i = 0; i < ret->n; i++) {
        const struct vf_cluster_migration *m = &ret->migrations[i];
        ret->rows[i] =
            (struct vf_status_row){.name = m->name, .status = &m->status, .alive = m->alive};
    }
    return 0;
}

void vf_board_list_release(struct vf_board_list *l)
{
    vf_cluster_migrations_free(l->migrations, l->n);
    free(l->rows);
    *l = (struct vf_board_list){0};
}
