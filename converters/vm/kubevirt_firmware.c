#include "converters/vm/firmware.h"
#include "converters/vm/kubevirt_machine.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

static void add_identity(const struct vf_manifest_plan *plan, cJSON *firmware,
                         struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    char *vf_autofree uuid = vf_firmware_uuid(vm->bios_uuid, vm->hardware);
    char *vf_autofree serial = vf_firmware_serial(vm->bios_uuid);
    if (!uuid) {
        vf_concerns_add(concerns, "vm.identity-new",
                        "the source tells no BIOS UUID: the guest will see a new one, and "
                        "licences bound to it may ask again");
        return;
    }
    vf_json_add_string(firmware, "uuid", uuid);
    vf_json_add_string(firmware, "serial", serial);
    vf_origin_note_member(plan->origins, firmware, "uuid", VF_ORIGIN_SOURCE,
                          "config.uuid %s, as hardware %s shows it to the guest", vm->bios_uuid,
                          vm->hardware ? vm->hardware : "of old");
    vf_origin_note_member(plan->origins, firmware, "serial", VF_ORIGIN_SOURCE, "config.uuid %s",
                          vm->bios_uuid);
}

bool vf_kubevirt_boots_securely(const struct vf_manifest_plan *plan)
{
    enum vf_tristate told = plan->mapping->secure_boot;
    return plan->vm->firmware == VF_FIRMWARE_EFI &&
           (told == VF_YES || (told == VF_UNSET && plan->vm->secure_boot));
}

/* vSphere keeps EFI variables always. Here they cost a claim of their own, which is worth it where
 * secure boot's state is sealed by a TPM; so it is there with one, or when told. */
static void add_efi(const struct vf_manifest_plan *plan, cJSON *bootloader)
{
    const struct vf_vm *vm = plan->vm;
    const struct vf_mapping *m = plan->mapping;
    cJSON *efi = vf_json_add_object(bootloader, "efi");
    /* None at all would mean true. */
    vf_json_add_bool(efi, "secureBoot", vf_kubevirt_boots_securely(plan));
    vf_origin_note(plan->origins, efi, VF_ORIGIN_SOURCE, "firmware efi, efiSecureBootEnabled %s",
                   vm->secure_boot ? "true" : "false");
    if (m->secure_boot != VF_UNSET) {
        vf_origin_note_member(plan->origins, efi, "secureBoot", VF_ORIGIN_OPTION,
                              "--secure-boot %s", m->secure_boot == VF_YES ? "yes" : "no");
    }
    bool tpm = m->tpm == VF_YES || (m->tpm == VF_UNSET && vm->has_vtpm);
    if (m->persistent_efi == VF_YES || (m->persistent_efi == VF_UNSET && tpm)) {
        vf_json_add_bool(efi, "persistent", true);
        if (m->persistent_efi == VF_YES) {
            vf_origin_note_member(plan->origins, efi, "persistent", VF_ORIGIN_OPTION,
                                  "--persistent-efi yes");
        } else {
            vf_origin_note_member(plan->origins, efi, "persistent",
                                  m->tpm == VF_YES ? VF_ORIGIN_OPTION : VF_ORIGIN_SOURCE,
                                  "the VM has a TPM");
        }
    }
}

void vf_kubevirt_firmware(const struct vf_manifest_plan *plan, cJSON *domain,
                          struct vf_concerns *concerns)
{
    cJSON *firmware = vf_json_add_object(domain, "firmware");
    add_identity(plan, firmware, concerns);
    cJSON *bootloader = vf_json_add_object(firmware, "bootloader");
    if (plan->vm->firmware == VF_FIRMWARE_EFI) {
        add_efi(plan, bootloader);
        return;
    }
    if (plan->mapping->persistent_efi == VF_YES) {
        vf_concerns_add(concerns, "mapping.persistent-efi",
                        "EFI variables are to be kept, but the VM has a BIOS and none of them");
    }
    vf_json_add_object(bootloader, "bios");
    if (plan->vm->firmware == VF_FIRMWARE_BIOS) {
        vf_origin_note_member(plan->origins, bootloader, "bios", VF_ORIGIN_SOURCE, "firmware bios");
    } else {
        vf_origin_note_member(plan->origins, bootloader, "bios", VF_ORIGIN_DEFAULT,
                              "the source does not tell the firmware");
    }
}
