#include <archive.h>
#include <curl/curl.h>
#include <libdeflate.h>
#include <libxml/xmlversion.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <yaml.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/output.h"

enum version_output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_YAML };

struct version_args {
    struct vf_common_args common;
    int output;
};

static cJSON *new_versions(void)
{
    cJSON *tree = vf_json_new_object();
    vf_json_add_string(tree, "vmferry", VF_VERSION);
    cJSON *libraries = vf_json_add_object(tree, "libraries");
    vf_json_add_string(libraries, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
    vf_json_add_string(libraries, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    vf_json_add_string(libraries, "libxml2", LIBXML_DOTTED_VERSION);
    vf_json_add_string(libraries, "cjson", cJSON_Version());
    vf_json_add_string(libraries, "libyaml", yaml_get_version_string());
    vf_json_add_string(libraries, "libarchive", archive_version_string() + sizeof "libarchive");
    vf_json_add_string(libraries, "libdeflate", LIBDEFLATE_VERSION_STRING);
    return tree;
}

static int run_version(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct version_args *args = opaque;
    cJSON *tree = new_versions();
    int rc;
    if (args->output == OUTPUT_TEXT) {
        struct vf_buf b;
        vf_buf_init(&b, SIZE_MAX);
        vf_buf_printf(&b, "vmferry %s\n", VF_VERSION);
        const cJSON *library;
        cJSON_ArrayForEach(library, vf_json_object(tree, "libraries"))
        {
            vf_buf_printf(&b, "  %-12s%s\n", library->string, library->valuestring);
        }
        char *vf_autofree text = vf_buf_take_string(&b);
        rc = vf_cli_put(cli, text, err);
    } else {
        rc = vf_cli_put_tree(cli, tree, args->output == OUTPUT_YAML, err);
    }
    cJSON_Delete(tree);
    return rc;
}

static const char *const outputs[] = {"text", "json", "yaml", NULL};

static const struct vf_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "form of the result",
     .choices = outputs,
     .offset = offsetof(struct version_args, output)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)}, VF_COMMON_GROUP};

const struct vf_command vf_cmd_version = {
    .name = "version",
    .summary = "show the version of vmferry and of its libraries",
    .operands = "",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct version_args),
    .run = run_version,
};
