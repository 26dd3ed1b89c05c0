#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/vm_xml.h"

static void read_devices(struct vf_vm_draft *d, const char *xml)
{
    assert_int_equal(vf_test_parse_vm(d, xml, NULL), 0);
}

#define IDE(key, bus) VM_DEVICE("VirtualIDEController", key, "<busNumber>" bus "</busNumber>")
#define AT(controller, unit)                                                                       \
    "<controllerKey>" controller "</controllerKey><unitNumber>" unit "</unitNumber>"
#define BACKING(type, rest) "<backing xsi:type=\"" type "\">" rest "</backing>"
#define FILE_NAME(name)     "<fileName>" name "</fileName>"

static void test_vm_peripherals__drives(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_devices(
        &d,
        VM_CONTENT(VM_DEVICES(
            VM_DEVICE("VirtualCdrom", "3002",
                      BACKING("VirtualCdromIsoBackingInfo", FILE_NAME("[ds 1] iso/a b.iso"))
                          AT("201", "0") "<connectable><startConnected>true</startConnected>"
                                         "<connected>false</connected></connectable>")
                VM_DEVICE("VirtualCdrom", "3000",
                          BACKING("VirtualCdromRemotePassthroughBackingInfo", "<deviceName/>")
                              AT("200", "0"))
                    VM_DEVICE("VirtualCdrom", "16001",
                              BACKING("VirtualCdromIsoBackingInfo", FILE_NAME("[]"))
                                  AT("15000", "1")) IDE("200", "0") IDE("201", "1")
                        VM_DEVICE("VirtualAHCIController", "15000", "<busNumber>0</busNumber>"))));
    const struct vf_vm_cdrom *c = d.vm.cdroms;
    assert_int_equal(d.vm.n_cdroms, 3);
    assert_int_equal(d.vm.n_devices, 0);
    assert_int_equal(c[0].key, 16001); /* as the guest counts: SATA, IDE */
    assert_int_equal(c[0].bus, VF_BUS_SATA);
    assert_int_equal(c[0].kind, VF_CDROM_EMPTY);
    assert_null(c[0].file);
    assert_int_equal(c[1].key, 3000);
    assert_int_equal(c[1].kind, VF_CDROM_EMPTY);
    assert_int_equal(c[2].key, 3002);
    assert_int_equal(c[2].kind, VF_CDROM_ISO);
    assert_string_equal(c[2].file, "[ds 1] iso/a b.iso");
    assert_string_equal(c[2].datastore, "ds 1");
    assert_string_equal(c[2].label, "VirtualCdrom 3002");
    assert_int_equal(c[2].bus_number, 1);
    assert_int_equal(c[2].unit_number, 0);
    assert_true(c[2].start_connected);
    assert_false(c[2].connected);
    vf_vm_draft_release(&d);
}

static void test_vm_peripherals__odd_images(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_devices(&d,
                 VM_CONTENT(VM_DEVICES(
                     VM_DEVICE("VirtualCdrom", "1",
                               BACKING("VirtualCdromIsoBackingInfo", FILE_NAME("[ds1] ")))
                         VM_DEVICE("VirtualCdrom", "2",
                                   BACKING("VirtualCdromIsoBackingInfo", FILE_NAME("[ds1")))
                             VM_DEVICE("VirtualCdrom", "3",
                                       BACKING("VirtualCdromIsoBackingInfo",
                                               "")) "<"
                                                    "VirtualDevice xsi:type=\"VirtualCdrom\"/>")));
    assert_int_equal(d.vm.n_cdroms, 4);
    for (size_t i = 0; i < d.vm.n_cdroms; i++) {
        const struct vf_vm_cdrom *c = &d.vm.cdroms[i];
        assert_int_equal(c->kind, VF_CDROM_EMPTY);
        assert_int_equal(c->bus, VF_BUS_UNKNOWN);
        assert_int_equal(c->bus_number, -1);
    }
    vf_vm_draft_release(&d);
}

static void test_vm_peripherals__kinds(void **state)
{
    (void)state;
    static const enum vf_device_kind kinds[] = {
        VF_DEVICE_PCI_PASSTHROUGH, VF_DEVICE_VGPU,     VF_DEVICE_USB_CONTROLLER,
        VF_DEVICE_USB_CONTROLLER,  VF_DEVICE_USB,      VF_DEVICE_SERIAL,
        VF_DEVICE_PARALLEL,        VF_DEVICE_FLOPPY,   VF_DEVICE_SOUND,
        VF_DEVICE_NVDIMM,          VF_DEVICE_WATCHDOG, VF_DEVICE_3D,
        VF_DEVICE_OTHER,
    };
    struct vf_vm_draft d;
    read_devices(
        &d,
        VM_CONTENT(VM_DEVICES(
            VM_DEVICE("VirtualPCIPassthrough", "13000",
                      BACKING("VirtualPCIPassthroughDynamicBackingInfo", ""))
                VM_DEVICE("VirtualPCIPassthrough", "13001",
                          BACKING("VirtualPCIPassthroughVmiopBackingInfo", "<vgpu>g</vgpu>"))
                    VM_DEVICE("VirtualUSBController", "7000", "") VM_DEVICE(
                        "VirtualUSBXHCIController", "14000", "") VM_DEVICE("VirtualUSB", "8000", "")
                        VM_DEVICE("VirtualSerialPort", "9000", "")
                            VM_DEVICE("VirtualParallelPort", "10000", "") VM_DEVICE(
                                "VirtualFloppy", "8500",
                                BACKING("VirtualFloppyImageBackingInfo", FILE_NAME("[d] a.flp")))
                                VM_DEVICE("VirtualHdAudioCard", "5000", "")
                                    VM_DEVICE("VirtualNVDIMM", "30000", "")
                                        VM_DEVICE("VirtualWDT", "18000", "")
                                            VM_DEVICE("VirtualMachineVideoCard", "500",
                                                      "<enable3DSupport>true</enable3DSupport>")
                                                VM_DEVICE("VirtualOfTheFuture", "1", ""))));
    assert_int_equal(d.vm.n_devices, sizeof kinds / sizeof kinds[0]);
    for (size_t i = 0; i < d.vm.n_devices; i++) {
        assert_int_equal(d.vm.devices[i].kind, kinds[i]);
    }
    assert_string_equal(d.vm.devices[2].label, "VirtualUSBController 7000");
    assert_string_equal(d.vm.devices[12].type, "VirtualOfTheFuture");
    vf_vm_draft_release(&d);
}

static void test_vm_peripherals__what_every_vm_has_is_not_told(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_devices(
        &d, VM_CONTENT(VM_DEVICES(
                IDE("200", "0") VM_DEVICE("VirtualPS2Controller", "300", "") VM_DEVICE(
                    "VirtualPCIController", "100", "") VM_DEVICE("VirtualSIOController", "400", "")
                    VM_DEVICE("VirtualKeyboard", "600", "")
                        VM_DEVICE("VirtualPointingDevice", "700", "")
                            VM_DEVICE("VirtualMachineVideoCard", "500",
                                      "<enable3DSupport>false</enable3DSupport>")
                                VM_DEVICE("VirtualMachineVMCIDevice", "12000", "") VM_DEVICE(
                                    "ParaVirtualSCSIController", "1000", "<busNumber>0</busNumber>")
                                    VM_DEVICE("VirtualFloppy", "8500",
                                              BACKING("VirtualFloppyRemoteDeviceBackingInfo",
                                                      "<deviceName/>"))
                                        VM_DEVICE("VirtualTPM", "11000", ""))));
    assert_int_equal(d.vm.n_devices, 0);
    assert_true(d.vm.has_vtpm);
    vf_vm_draft_release(&d);
}

static void test_vm_peripherals__raw_devices(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_devices(
        &d, VM_CONTENT(VM_DEVICES(
                VM_DEVICE("VirtualDisk", "2000",
                          BACKING("VirtualDiskRawDiskMappingVer1BackingInfo",
                                  FILE_NAME("[d] a.vmdk") "<lunUuid>0200</lunUuid><deviceName>"
                                                          "vml.02</deviceName><compatibilityMode>"
                                                          "physicalMode</compatibilityMode>"
                                                          "<diskMode/>")
                              AT("1000", "0") "<capacityInKB>1</capacityInKB>")
                    VM_DEVICE("VirtualDisk", "2001",
                              BACKING("VirtualDiskRawDiskMappingVer1BackingInfo",
                                      FILE_NAME("[d] b.vmdk") "<lunUuid>0201</lunUuid><deviceName/>"
                                                              "<compatibilityMode>virtualMode"
                                                              "</compatibilityMode>")
                                  AT("1000", "1") "<capacityInKB>1</capacityInKB>"))));
    assert_true(d.vm.disks[0].rdm && d.vm.disks[0].rdm_physical);
    assert_string_equal(d.vm.disks[0].rdm_device, "vml.02");
    assert_true(d.vm.disks[1].rdm);
    assert_false(d.vm.disks[1].rdm_physical);
    assert_string_equal(d.vm.disks[1].rdm_device, "0201");
    vf_vm_draft_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_peripherals__drives),
        cmocka_unit_test(test_vm_peripherals__odd_images),
        cmocka_unit_test(test_vm_peripherals__kinds),
        cmocka_unit_test(test_vm_peripherals__what_every_vm_has_is_not_told),
        cmocka_unit_test(test_vm_peripherals__raw_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
