/* Rules of the VM as a whole: whether vSphere lets anything be done with it now, and what it will
 * be called. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/vsphere/notes.h"
#include "jobs/preflight/looks.h"

/* --- state ------------------------------------------------------------------------------- */

static void check_connection(const struct vf_check *c, enum vf_connection which, const char *what)
{
    if (c->vm->connection == which) {
        vf_found(c, NULL, "%s%s%s%s", what, c->vm->host ? " (host \"" : "",
                 c->vm->host ? c->vm->host : "", c->vm->host ? "\")" : "");
    }
}

static void check_disconnected(const struct vf_check *c)
{
    check_connection(c, VF_CONNECTION_DISCONNECTED, "the VM's host does not answer vCenter");
}

static void check_orphaned(const struct vf_check *c)
{
    check_connection(c, VF_CONNECTION_ORPHANED, "no host knows the VM any more");
}

static void check_inaccessible(const struct vf_check *c)
{
    check_connection(c, VF_CONNECTION_INACCESSIBLE, "the VM's files cannot be reached");
}

static void check_invalid(const struct vf_check *c)
{
    check_connection(c, VF_CONNECTION_INVALID, "vSphere cannot read the VM's configuration");
}

/* Of VMs that are not well it is known why. */
static void check_unreadable(const struct vf_check *c)
{
    enum vf_connection connection = c->vm->connection;
    if (!vf_check_is_told(c->vm) &&
        (connection == VF_CONNECTION_GOOD || connection == VF_CONNECTION_UNKNOWN)) {
        vf_found(c, NULL, "vSphere tells neither hardware nor disks of the VM");
    }
}

static void check_suspended(const struct vf_check *c)
{
    if (c->vm->power == VF_POWER_SUSPENDED) {
        vf_found(c, NULL, "the VM is suspended: its disks do not hold all of its state");
    }
}

static void check_question(const struct vf_check *c)
{
    if (c->vm->question) {
        vf_found(c, NULL, "the VM waits for an answer to \"%s\"", c->vm->question);
    }
}

/* A template cannot be powered on, nor have its snapshots managed; whether it may be exported is
 * left to vSphere. */
static void check_template(const struct vf_check *c)
{
    if (!c->vm->template) {
        return;
    }
    vf_found_as(c, c->options->warm ? VF_CRITICAL : VF_WARNING, NULL, NULL,
                c->options->warm ? "it is a template, which cannot be migrated warm"
                                 : "it is a template: it arrives as a VM that is off");
}

/* A virtual TPM encrypts the VM's home and leaves its disks as they are. */
static void check_encrypted(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    if (vm->encrypted) {
        vf_found(c, NULL, "the VM's home is encrypted%s: vSphere may refuse to export it",
                 vm->has_vtpm ? " (as it has a virtual TPM)" : "");
    }
}

static void check_fault_tolerance(const struct vf_check *c)
{
    if (!c->vm->fault_tolerant) {
        return;
    }
    if (vf_check_takes_snapshot(c)) {
        vf_found(c, NULL, "fault tolerance is on: vSphere makes no snapshot of such a VM");
    } else {
        vf_found_as(c, VF_INFORMATION, NULL, "nothing: KubeVirt restarts a VM whose node failed",
                    "fault tolerance is on, and has no counterpart in KubeVirt");
    }
}

static void check_migrated(const struct vf_check *c)
{
    if (vf_notes_have_own(c->vm->annotation)) {
        vf_found(c, NULL, "its notes say that it was migrated already%s",
                 c->vm->power == VF_POWER_ON ? ", but it runs" : "");
    }
}

/* --- content ----------------------------------------------------------------------------- */

static void check_disks_none(const struct vf_check *c)
{
    if (c->vm->n_disks == 0) {
        vf_found(c, NULL,
                 c->vm->n_other_disks ? "every disk of the VM is left out of the copy"
                                      : "the VM has no disk");
    }
}

static void check_firmware_unknown(const struct vf_check *c)
{
    if (c->vm->firmware == VF_FIRMWARE_UNKNOWN) {
        vf_found(c, NULL,
                 "vSphere does not tell whether the VM boots by BIOS or EFI: BIOS is "
                 "assumed");
    }
}

static void check_secure_boot(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    if (c->vm->secure_boot && (!m || m->secure_boot != VF_NO)) {
        vf_found(c, NULL,
                 "secure boot is on, and stays on with the keys of KubeVirt's firmware "
                 "instead of the VM's own");
    }
}

/* --- name -------------------------------------------------------------------------------- */

static const char *new_name(const struct vf_check *c)
{
    return c->facts->names ? c->facts->names[c->index] : NULL;
}

static void check_name_empty(const struct vf_check *c)
{
    if (!c->vm->name || !*c->vm->name) {
        vf_found(c, NULL, "the VM (%s) has no name%s%s%s",
                 c->vm->moref ? c->vm->moref : "without reference",
                 new_name(c) ? ": it will be called \"" : "", new_name(c) ? new_name(c) : "",
                 new_name(c) ? "\"" : "");
    }
}

static void check_name_changed(const struct vf_check *c)
{
    const char *name = new_name(c);
    if (name && c->vm->name && *c->vm->name && strcmp(name, c->vm->name) != 0) {
        vf_found(c, NULL, "it will be called \"%s\"", name);
    }
}

static void check_name_none(const struct vf_check *c)
{
    if (c->facts->names && !new_name(c)) {
        vf_found(c, NULL, "no name is free for it among the VMs that were chosen");
    }
}

const struct vf_rule vf_rules_vm[] = {
    {.id = "vm.disconnected",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "connection state",
     .message = "the VM's host does not answer vCenter, so that nothing can be done with the VM",
     .action = "reconnect the host in vSphere",
     .blind = true,
     .check = check_disconnected},
    {.id = "vm.orphaned",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "connection state",
     .message = "vCenter knows of the VM, but no host has it any more",
     .action = "register the VM again from its .vmx file, or leave it out",
     .blind = true,
     .check = check_orphaned},
    {.id = "vm.inaccessible",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "connection state",
     .message = "the VM's files cannot be reached, mostly since a datastore is away",
     .action = "see in vSphere that its datastores are mounted at its host",
     .blind = true,
     .check = check_inaccessible},
    {.id = "vm.invalid",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "connection state",
     .message = "vSphere cannot read the VM's configuration",
     .action = "repair the .vmx file, and reload the VM",
     .blind = true,
     .check = check_invalid},
    {.id = "vm.unreadable",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "whether vSphere tells of the VM's hardware",
     .message = "vSphere tells neither hardware nor disks of the VM, mostly since the account may "
                "not read it",
     .action = "give the account System.Read on the VM (the role \"Read-only\")",
     .blind = true,
     .check = check_unreadable},
    {.id = "vm.suspended",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "power state",
     .message = "the VM is suspended: part of its state is in a file that no other hypervisor "
                "reads",
     .action = "resume the VM, or power it off",
     .blind = true,
     .check = check_suspended},
    {.id = "vm.question",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "pending question",
     .message = "the VM waits for a person's answer, and does nothing until then",
     .action = "answer it in vSphere (the VM's summary)",
     .blind = true,
     .check = check_question},
    {.id = "vm.template",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "whether it is a template",
     .message = "templates arrive as VMs that are off, and cannot be migrated warm",
     .action = "clone a VM from it and take that one, or leave it out",
     .check = check_template},
    {.id = "vm.encrypted",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "encryption of the VM's home",
     .message = "the VM's home is encrypted, and vSphere may refuse to export such a VM",
     .action = "take the virtual TPM out, or change the VM's storage policy to one without "
               "encryption, while it is off",
     .check = check_encrypted},
    {.id = "vm.fault-tolerance",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "fault tolerance",
     .message = "vSphere makes no snapshot of a VM with fault tolerance",
     .action = "turn fault tolerance off, or power the VM off and import it cold",
     .check = check_fault_tolerance},
    {.id = "vm.migrated",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "notes",
     .message = "a paragraph of vmferry's in the VM's notes says that it was migrated",
     .action = "see in its notes where to; if its successor is gone, take the paragraph out",
     .check = check_migrated},
    {.id = "vm.disks-none",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "number of disks that are copied",
     .message = "there is nothing to copy: the VM has no disk, or all are left out",
     .action = "see in vmferry inventory -o yaml whether disks are missing there too",
     .check = check_disks_none},
    {.id = "vm.firmware-unknown",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "firmware",
     .message = "vSphere does not tell the firmware, and a guest that was installed with the other "
                "one does not boot",
     .action = "set the bootloader in a template (--template), if the guest boots by EFI",
     .check = check_firmware_unknown},
    {.id = "vm.secure-boot",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "secure boot",
     .message =
         "secure boot goes on with the keys of KubeVirt's firmware: a loader that was signed "
         "with keys of one's own is refused",
     .action = "if the guest has keys of its own, turn secure boot off: --secure-boot no",
     .check = check_secure_boot},
    {.id = "vm.name-empty",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "name",
     .message = "the VM has no name",
     .action = "give it one in vSphere, or by --name",
     .check = check_name_empty},
    {.id = "vm.name-changed",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "name",
     .message = "the VM's name is no DNS label, or another VM's too, so that the new VM is called "
                "otherwise; the old name is kept as an annotation",
     .action = "--name gives another one",
     .check = check_name_changed},
    {.id = "vm.name-none",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "name, among all that were chosen",
     .message = "no name could be found for the VM",
     .action = "import it by itself with --name",
     .check = check_name_none},
    {.id = NULL},
};
