#include "jobs/cli/ask.h"

#include "importer/base/mem.h"
#include "jobs/migration/follow.h"
#include "jobs/report/report.h"

/* The user's ^C ends the looking on, not the migration. */
static void hint_at_status(const struct vf_picked_board *p, struct vf_error **err)
{
    if (p->path) {
        vf_error_hint(err, "what was asked for goes on; \"vmferry status 'dir:%s'\" shows it",
                      p->path);
    } else {
        vf_error_hint(err, "what was asked for goes on; \"vmferry status %s\" shows it", p->name);
    }
}

static int follow(struct vf_cli *cli, const struct vf_picked_board *p,
                  const struct vf_migration_request *r, struct vf_reporter *reporter,
                  struct vf_migration_status *status, struct vf_error **err)
{
    struct vf_migration_status last = {0};
    struct vf_error *e = NULL;
    struct vf_follow *f = vf_follow_new(reporter);
    vf_follow_tell(f, status);
    int rc = vf_follow_run(f, p->board, p->patience_ms, cli->cancel, &last, &e);
    vf_follow_free(f);
    if (rc == VF_MISSING && r->kind == VF_REQUEST_CANCEL && r->discard) {
        vf_error_clear(&e); /* its board went with it */
        status->phase = VF_PHASE_CANCELLED;
        return 0;
    }
    vf_error_move(err, &e);
    if (rc == 0) {
        vf_migration_status_release(status);
        *status = last;
    } else if (rc == VF_CANCELLED) {
        hint_at_status(p, err);
    } else {
        (void)p->board->ops->clear_request(p->board, NULL); /* a later run is not to take it */
    }
    return rc;
}

static int judge(const struct vf_migration_status *s, enum vf_migration_phase wanted,
                 struct vf_error **err)
{
    if (s->phase == wanted) {
        return 0;
    }
    if (s->phase == VF_PHASE_DONE) {
        return vf_error_set(err, VF_CONFLICT, "the migration \"%s\" was finished before that",
                            s->name ? s->name : "?");
    }
    return vf_follow_end(s, err);
}

int vf_ask(struct vf_cli *cli, const struct vf_picked_board *p,
           const struct vf_migration_request *r, const struct vf_progress_args *progress,
           bool debug, bool wait, enum vf_migration_phase wanted,
           struct vf_migration_status *status, struct vf_error **err)
{
    struct vf_reporter *reporter = NULL;
    int rc = vf_progress_open(cli, progress, debug, &reporter, err);
    rc = rc ? rc : p->board->ops->leave_request(p->board, r, err);
    if (rc == 0 && wait) {
        rc = follow(cli, p, r, reporter, status, err);
        rc = rc ? rc : judge(status, wanted, err);
        if (rc == 0) {
            vf_report(reporter, &(struct vf_event){.type = VF_EVENT_RESULT,
                                                   .vm = status->source_vm,
                                                   .message = status->place});
        }
    }
    if (reporter) {
        vf_progress_close(reporter, rc, err);
    }
    return rc;
}
