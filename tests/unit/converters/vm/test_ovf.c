#include "converters/vm/ovf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

#define HEAD                                                                                       \
    "<?xml version=\"1.0\"?>\n"                                                                    \
    "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\""                                   \
    " xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\""                                        \
    " xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                             \
    "CIM_ResourceAllocationSettingData\""                                                          \
    " xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                             \
    "CIM_VirtualSystemSettingData\""                                                               \
    " xmlns:vmw=\"http://www.vmware.com/schema/ovf\""                                              \
    " xmlns:vbox=\"http://www.virtualbox.org/ovf/machine\">"

#define CPU_AND_MEMORY                                                                             \
    "<Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>"                              \
    "<rasd:ElementName>cpus</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID>"                \
    "<rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity>"       \
    "<vmw:CoresPerSocket ovf:required=\"false\">2</vmw:CoresPerSocket></Item>"                     \
    "<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>"                               \
    "<rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID>"              \
    "<rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>8192</rasd:VirtualQuantity>"    \
    "</Item>"

#define ITEM(instance, type, rest)                                                                 \
    "<Item><rasd:ElementName>item " instance "</rasd:ElementName><rasd:InstanceID>" instance       \
    "</rasd:InstanceID>" rest "<rasd:ResourceType>" type "</rasd:ResourceType></Item>"

#define SUBTYPE(s) "<rasd:ResourceSubType>" s "</rasd:ResourceSubType>"
#define ADDRESS(a) "<rasd:Address>" a "</rasd:Address>"
#define DISK_ITEM(instance, parent, unit, id)                                                      \
    ITEM(instance, "17",                                                                           \
         "<rasd:AddressOnParent>" unit "</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/" id   \
         "</rasd:HostResource><rasd:Parent>" parent "</rasd:Parent>")

/* A whole descriptor; NULL leaves the usual one in. */
struct parts {
    const char *references, *disks, *before_system, *in_system, *items;
};

static char *build(const struct parts *p)
{
    return vf_xasprintf(
        HEAD "<References>%s</References><DiskSection><Info/>%s</DiskSection>%s"
             "<VirtualSystem ovf:id=\"id\"><Info/><Name>web 01</Name>%s"
             "<VirtualHardwareSection><System><vssd:VirtualSystemType>vmx-19"
             "</vssd:VirtualSystemType></System>%s</VirtualHardwareSection></VirtualSystem>"
             "</Envelope>",
        p->references ? p->references : "<File ovf:id=\"f1\" ovf:href=\"a.vmdk\" ovf:size=\"77\"/>",
        p->disks ? p->disks
                 : "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"1048576\"/>",
        p->before_system ? p->before_system : "", p->in_system ? p->in_system : "",
        p->items ? p->items
                 : CPU_AND_MEMORY ITEM("3", "6", ADDRESS("0") SUBTYPE("VirtualSCSI"))
                       DISK_ITEM("4", "3", "0", "d1"));
}

static void parse_text(const char *text, struct vf_ovf *ovf)
{
    struct vf_error *err = NULL;
    if (vf_ovf_parse(text, strlen(text), "x.ovf", ovf, &err)) {
        char *line = vf_error_format(err);
        fail_msg("%s", line);
    }
}

static void parse_parts(const struct parts *p, struct vf_ovf *ovf)
{
    char *text = build(p);
    parse_text(text, ovf);
    free(text);
}

static void expect_error_of(const char *text, int code, const char *message)
{
    struct vf_ovf ovf = {0};
    struct vf_error *err = NULL;
    int rc = vf_ovf_parse(text, strlen(text), "x.ovf", &ovf, &err);
    char *line = err ? vf_error_format(err) : vf_xstrdup("");
    if (rc != code || !strstr(line, message)) {
        fail_msg("got %s \"%s\", wanted %s \"%s\"", vf_code_name(rc), line, vf_code_name(code),
                 message);
    }
    free(line);
    vf_error_free(err);
}

static void expect_error(const struct parts *p, int code, const char *message)
{
    char *text = build(p);
    expect_error_of(text, code, message);
    free(text);
}

static void test_ovf__vmware_descriptor(void **state)
{
    (void)state;
    struct parts p = {
        .references = "<File ovf:id=\"f1\" ovf:href=\"a.vmdk\" ovf:size=\"77\"/>"
                      "<File ovf:id=\"f2\" ovf:href=\"./b%20c.vmdk.gz\" ovf:compression=\"gzip\"/>"
                      "<File ovf:id=\"f3\" ovf:href=\"x.nvram\" ovf:size=\"9\"/>",
        .disks = "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"20\" "
                 "ovf:capacityAllocationUnits=\"byte * 2^30\" ovf:populatedSize=\"5\"/>"
                 "<Disk ovf:diskId=\"d2\" ovf:fileRef=\"f2\" ovf:capacity=\"512\"/>"
                 "<Disk ovf:diskId=\"d3\" ovf:capacity=\"2\" ovf:capacityAllocationUnits=\"GB\"/>",
        .in_system = "<OperatingSystemSection ovf:id=\"94\" vmw:osType=\"ubuntu64Guest\"><Info/>"
                     "<Description>Ubuntu Linux (64-bit)</Description></OperatingSystemSection>"
                     "<AnnotationSection><Annotation>two\nlines</Annotation></AnnotationSection>"
                     "<EulaSection><License>long</License></EulaSection>",
        .items = CPU_AND_MEMORY ITEM("3", "6", ADDRESS("1") SUBTYPE("VirtualSCSI")) ITEM(
            "4", "20",
            ADDRESS("0")
                SUBTYPE("vmware.sata.ahci")) ITEM("5", "20",
                                                  ADDRESS("0") SUBTYPE(
                                                      "vmware.nvme.controller")) ITEM("6", "5",
                                                                                      ADDRESS("1"))
            DISK_ITEM("7", "5", "2", "d1") DISK_ITEM("8", "3", "3", "d2") DISK_ITEM(
                "9",
                "4",
                "1",
                "d3") ITEM("10", "15", "<rasd:Parent>6</rasd:Parent>")
                ITEM("11", "1", SUBTYPE("vmware.vtpm")) ITEM(
                    "12",
                    "10",
                    ADDRESS("00:50:56:9A:11:02")
                        SUBTYPE(
                            "VmxNet3") "<rasd:Connection>VM Network</rasd:Connection>"
                                       "<rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>")
                    ITEM("13", "10",
                         SUBTYPE("PCNet32 E1000") ADDRESS(
                             "7") "<rasd:AutomaticAllocation>false"
                                  "</rasd:AutomaticAllocation>") "<vmw:Config vmw:key=\"firmware\" "
                                                                 "vmw:value=\"efi\"/>"
                                                                 "<vmw:Config "
                                                                 "vmw:key=\"bootOptions."
                                                                 "efiSecureBootEnabled\" "
                                                                 "vmw:value=\"true\"/>"
                                                                 "<vmw:Config "
                                                                 "vmw:key=\"cpuHotAddEnabled\" "
                                                                 "vmw:value=\"false\"/>"
                                                                 "<vmw:Config "
                                                                 "vmw:key=\"memoryHotAddEnabled\" "
                                                                 "vmw:value=\"true\"/>"
                                                                 "<vmw:Config "
                                                                 "vmw:key=\"nestedHVEnabled\" "
                                                                 "vmw:value=\"true\"/>"};
    struct vf_ovf ovf;
    parse_parts(&p, &ovf);
    const struct vf_vm *vm = &ovf.vm;
    assert_string_equal(vm->name, "web 01");
    assert_string_equal(vm->guest_id, "ubuntu64Guest");
    assert_string_equal(vm->guest_name, "Ubuntu Linux (64-bit)");
    assert_int_equal(vm->family, VF_GUEST_LINUX);
    assert_string_equal(vm->annotation, "two\nlines");
    assert_string_equal(vm->hardware, "vmx-19");
    assert_int_equal(vm->cpus, 4);
    assert_int_equal(vm->cores_per_socket, 2);
    assert_true(vm->memory_bytes == UINT64_C(8) << 30);
    assert_int_equal(vm->firmware, VF_FIRMWARE_EFI);
    assert_true(vm->secure_boot && vm->has_vtpm && vm->nested_hv);
    assert_int_equal(vm->cpu_hot_add, VF_NO);
    assert_int_equal(vm->memory_hot_add, VF_YES);

    assert_int_equal(vm->n_disks, 3); /* SATA, SCSI, NVMe */
    assert_string_equal(vm->disks[0].source_id, "d3");
    assert_null(vm->disks[0].file);
    assert_true(vm->disks[0].capacity_bytes == UINT64_C(2) << 30);
    assert_int_equal(vm->disks[0].bus, VF_BUS_SATA);
    assert_int_equal(vm->disks[0].unit_number, 1);
    assert_string_equal(vm->disks[1].file, "./b%20c.vmdk.gz");
    assert_int_equal(vm->disks[1].bus, VF_BUS_SCSI);
    assert_int_equal(vm->disks[1].bus_number, 1);
    assert_string_equal(vm->disks[1].controller_type, "VirtualSCSI");
    assert_string_equal(vm->disks[2].label, "item 7");
    assert_int_equal(vm->disks[2].bus, VF_BUS_NVME);
    assert_int_equal(vm->disks[2].used_bytes, 5);
    assert_true(vm->disks[2].capacity_bytes == UINT64_C(20) << 30);

    assert_int_equal(vm->n_nics, 2);
    assert_string_equal(vm->nics[0].mac, "00:50:56:9a:11:02");
    assert_string_equal(vm->nics[0].model, "vmxnet3");
    assert_string_equal(vm->nics[0].network, "VM Network");
    assert_true(vm->nics[0].start_connected);
    assert_null(vm->nics[1].mac);
    assert_string_equal(vm->nics[1].model, "pcnet32");
    assert_false(vm->nics[1].start_connected);

    assert_int_equal(ovf.n_files, 3);
    assert_int_equal(ovf.files[0].size_bytes, 77);
    const struct vf_ovf_file *gz = vf_ovf_find_file(&ovf, "b c.vmdk.gz");
    assert_non_null(gz);
    assert_true(gz->gzip);
    assert_ptr_equal(vf_ovf_find_disk(&ovf, gz), &vm->disks[1]);
    assert_null(vf_ovf_find_disk(&ovf, vf_ovf_find_file(&ovf, "x.nvram")));
    assert_null(vf_ovf_find_file(&ovf, "b"));
    assert_int_equal(ovf.concerns.n_items, 0);
    assert_int_equal(vm->n_cdroms, 1);
    assert_string_equal(vm->cdroms[0].label, "item 10");
    assert_int_equal(vm->cdroms[0].kind, VF_CDROM_EMPTY);
    vf_ovf_release(&ovf);
}

static void test_ovf__drives_and_devices(void **state)
{
    (void)state;
    struct vf_ovf ovf = {0};
    parse_parts(
        &(struct parts){
            .references = "<File ovf:id=\"f1\" ovf:href=\"a.vmdk\"/>"
                          "<File ovf:id=\"f2\" ovf:href=\"boot.iso\"/>"
                          "<File ovf:id=\"f3\" ovf:href=\"boot.flp\"/>",
            .items = CPU_AND_MEMORY ITEM("3", "6", ADDRESS("0") SUBTYPE("VirtualSCSI"))
                DISK_ITEM("4", "3", "0", "d1") ITEM("5", "5", ADDRESS("1")) ITEM(
                    "6", "15",
                    "<rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:Parent>5</rasd:Parent>"
                    "<rasd:HostResource>ovf:/file/f2</rasd:HostResource>"
                    "<rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>")
                    ITEM("7", "16",
                         "<rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:Parent>5"
                         "</rasd:Parent><rasd:HostResource>ovf:/file/gone</rasd:HostResource>")
                        ITEM("8", "14", "<rasd:HostResource>ovf:/file/f3</rasd:HostResource>")
                            ITEM("9", "14", SUBTYPE("vmware.floppy.remotedevice"))
                                ITEM("10", "23", SUBTYPE("vmware.usb.ehci"))
                                    ITEM("11", "1", SUBTYPE("vmware.usb.xhci"))
                                        ITEM("12", "1", SUBTYPE("vmware.vtpm"))
                                            ITEM("13", "1", SUBTYPE("vmware.vmci"))
                                                ITEM("14", "24",
                                                     "<vmw:Config vmw:key=\"enable3DSupport\" "
                                                     "vmw:value=\"true\"/>") ITEM("15", "21", "")
                                                    ITEM("16", "35", "")
                                                        ITEM("17", "24",
                                                             "<vmw:Config "
                                                             "vmw:key=\"enable3DSupport\" "
                                                             "vmw:value=\"false\"/>")},
        &ovf);
    static const enum vf_device_kind kinds[] = {VF_DEVICE_FLOPPY,         VF_DEVICE_USB_CONTROLLER,
                                                VF_DEVICE_USB_CONTROLLER, VF_DEVICE_3D,
                                                VF_DEVICE_SERIAL,         VF_DEVICE_SOUND};
    const struct vf_vm *vm = &ovf.vm;
    assert_true(vm->has_vtpm);
    assert_int_equal(vm->n_devices, sizeof kinds / sizeof kinds[0]);
    for (size_t i = 0; i < vm->n_devices; i++) {
        assert_int_equal(vm->devices[i].kind, kinds[i]);
    }
    assert_string_equal(vm->devices[2].type, "vmware.usb.xhci");
    assert_int_equal(vm->n_cdroms, 2);
    assert_int_equal(vm->cdroms[0].kind, VF_CDROM_EMPTY); /* its file is not in the package */
    assert_int_equal(vm->cdroms[0].unit_number, 0);
    const struct vf_vm_cdrom *iso = &vm->cdroms[1];
    assert_int_equal(iso->kind, VF_CDROM_ISO);
    assert_string_equal(iso->file, "boot.iso");
    assert_int_equal(iso->bus, VF_BUS_IDE);
    assert_int_equal(iso->bus_number, 1);
    assert_true(iso->start_connected);
    assert_int_not_equal(iso->key, vm->cdroms[0].key);
    vf_ovf_release(&ovf);
}

static void test_ovf__shares_and_boot_order(void **state)
{
    (void)state;
    struct vf_ovf ovf = {0};
    parse_parts(
        &(struct parts){
            .in_system = "<vmw:BootOrderSection vmw:type=\"cdrom\"/>"
                         "<vmw:BootOrderSection vmw:type=\"net\" vmw:instanceId=\"6 77\"/>"
                         "<vmw:BootOrderSection vmw:type=\"disk\" vmw:instanceId=\"5 4\"/>",
            .disks = "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"1048576\"/>"
                     "<Disk ovf:diskId=\"d2\" ovf:capacity=\"1048576\"/>",
            .items = ITEM("1", "3",
                          "<rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>"
                          "<rasd:Limit>4000</rasd:Limit><rasd:Reservation>1000</rasd:Reservation>"
                          "<rasd:VirtualQuantity>2</rasd:VirtualQuantity>"
                          "<rasd:Weight>4000</rasd:Weight>")
                ITEM("2", "4",
                     "<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>"
                     "<rasd:Reservation>512</rasd:Reservation>"
                     "<rasd:VirtualQuantity>1024</rasd:VirtualQuantity>"
                     "<rasd:Weight>77</rasd:Weight>")
                    ITEM("3", "6", ADDRESS("0") SUBTYPE("VirtualSCSI"))
                        DISK_ITEM("4", "3", "0", "d1") DISK_ITEM("5", "3", "1", "d2")
                            ITEM("6", "10",
                                 SUBTYPE("VmxNet3")) "<vmw:Config vmw:key=\"cpuHotRemoveEnabled\" "
                                                     "vmw:value=\"true\"/>"
                                                     "<vmw:ExtraConfig "
                                                     "vmw:key=\"numa.nodeAffinity\" "
                                                     "vmw:value=\"0\"/>"},
        &ovf);
    const struct vf_vm *vm = &ovf.vm;
    assert_int_equal(vm->cpu_allocation.reservation, 1000);
    assert_int_equal(vm->cpu_allocation.limit, 4000);
    assert_int_equal(vm->cpu_allocation.level, VF_SHARES_HIGH);
    assert_int_equal(vm->memory_allocation.reservation, UINT64_C(512) << 20);
    assert_int_equal(vm->memory_allocation.limit, 0);
    assert_int_equal(vm->memory_allocation.level, VF_SHARES_CUSTOM);
    assert_int_equal(vm->memory_allocation.shares, 77);
    assert_true(vm->cpu_hot_remove && vm->numa_affinity && vm->boot_keys_cdrom_first);
    assert_int_equal(vm->n_boot_keys, 3);
    assert_int_equal(vm->boot_keys[0], vm->nics[0].key);
    assert_int_equal(vm->boot_keys[1], vm->disks[1].key);
    assert_int_equal(vm->boot_keys[2], vm->disks[0].key);
    assert_int_not_equal(vm->nics[0].key, vm->disks[0].key);
    vf_ovf_release(&ovf);
}

static void test_ovf__virtualbox_and_version_2(void **state)
{
    (void)state;
    static const char text[] =
        "<?xml version=\"1.0\"?>"
        "<Envelope ovf:version=\"2.0\" xmlns=\"http://schemas.dmtf.org/ovf/envelope/2\""
        " xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/2\" xmlns:r=\"urn:rasd\""
        " xmlns:s=\"urn:sasd\" xmlns:e=\"urn:epasd\" xmlns:v=\"urn:vssd\""
        " xmlns:vbox=\"http://www.virtualbox.org/ovf/machine\">"
        "<References><File ovf:id=\"f1\" ovf:href=\"My VM-disk001.vmdk\"/></References>"
        "<DiskSection><Disk ovf:capacity=\"8589934592\" ovf:diskId=\"vmdisk1\" ovf:fileRef=\"f1\"/>"
        "</DiskSection><VirtualSystem ovf:id=\"My VM\"><OperatingSystemSection ovf:id=\"96\">"
        "<Description>Debian_64</Description></OperatingSystemSection>"
        "<VirtualHardwareSection><System><v:VirtualSystemType>virtualbox-2.2</v:VirtualSystemType>"
        "</System><Item><r:InstanceID>1</r:InstanceID><r:ResourceType>3</r:ResourceType>"
        "<r:VirtualQuantity> 1 </r:VirtualQuantity></Item>"
        "<Item><r:AllocationUnits>MegaBytes</r:AllocationUnits><r:InstanceID>2</r:InstanceID>"
        "<r:ResourceType>4</r:ResourceType><r:VirtualQuantity>1024</r:VirtualQuantity></Item>"
        "<Item><r:Address>0</r:Address><r:InstanceID>5</r:InstanceID>"
        "<r:ResourceSubType>AHCI</r:ResourceSubType><r:ResourceType>20</r:ResourceType></Item>"
        "<StorageItem><s:AddressOnParent>0</s:AddressOnParent>"
        "<s:HostResource>/disk/vmdisk1</s:HostResource><s:InstanceID>7</s:InstanceID>"
        "<s:Parent>5</s:Parent><s:ResourceType>17</s:ResourceType></StorageItem>"
        "<EthernetPortItem><e:Address>080027A1B2C3</e:Address><e:Connection>NAT</e:Connection>"
        "<e:InstanceID>8</e:InstanceID><e:ResourceSubType>E1000</e:ResourceSubType>"
        "<e:ResourceType>10</e:ResourceType></EthernetPortItem></VirtualHardwareSection>"
        "<vbox:Machine><Hardware><Firmware type=\"EFI\"/></Hardware></vbox:Machine>"
        "</VirtualSystem></Envelope>";
    struct vf_ovf ovf;
    parse_text(text, &ovf);
    assert_string_equal(ovf.vm.name, "My VM");
    assert_int_equal(ovf.vm.family, VF_GUEST_LINUX);
    assert_null(ovf.vm.hardware);
    assert_int_equal(ovf.vm.firmware, VF_FIRMWARE_EFI);
    assert_int_equal(ovf.vm.cpus, 1);
    assert_true(ovf.vm.memory_bytes == UINT64_C(1) << 30);
    assert_int_equal(ovf.vm.disks[0].bus, VF_BUS_SATA);
    assert_string_equal(ovf.vm.disks[0].file, "My VM-disk001.vmdk");
    assert_string_equal(ovf.vm.nics[0].mac, "08:00:27:a1:b2:c3");
    assert_string_equal(ovf.vm.nics[0].network, "NAT");
    vf_ovf_release(&ovf);
}

static void test_ovf__default_configuration_is_taken(void **state)
{
    (void)state;
    struct parts p = {
        .before_system = "<DeploymentOptionSection><Configuration ovf:id=\"small\"/>"
                         "<Configuration ovf:id=\"large\" ovf:default=\"true\"/>"
                         "</DeploymentOptionSection>",
        .items = "<Item ovf:configuration=\"tiny  large\"><rasd:InstanceID>1</rasd:InstanceID>"
                 "<rasd:ResourceType>3</rasd:ResourceType>"
                 "<rasd:VirtualQuantity>16</rasd:VirtualQuantity></Item>"
                 "<Item ovf:configuration=\"small\"><rasd:InstanceID>1</rasd:InstanceID>"
                 "<rasd:ResourceType>3</rasd:ResourceType>"
                 "<rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>" CPU_AND_MEMORY};
    struct vf_ovf ovf;
    parse_parts(&p, &ovf);
    assert_int_equal(ovf.vm.cpus, 16);
    assert_non_null(strstr(ovf.concerns.items[0].text, "\"large\""));
    assert_non_null(strstr(ovf.concerns.items[1].text, "disk \"d1\" is attached to nothing"));
    vf_ovf_release(&ovf);
}

static void test_ovf__capacity_from_a_property(void **state)
{
    (void)state;
    struct parts p = {.disks = "<Disk ovf:diskId=\"d1\" ovf:capacity=\"${size}\" "
                               "ovf:capacityAllocationUnits=\"byte * 2^30\"/>",
                      .in_system = "<ProductSection><Property ovf:key=\"siz\" ovf:value=\"9\"/>"
                                   "<Property ovf:key=\"size\" ovf:value=\"5\"/></ProductSection>"};
    struct vf_ovf ovf;
    parse_parts(&p, &ovf);
    assert_true(ovf.vm.disks[0].capacity_bytes == UINT64_C(5) << 30);
    vf_ovf_release(&ovf);
    p.in_system = "";
    expect_error(&p, VF_RANGE, "disk \"d1\": capacity \"\" is no number");
}

static void test_ovf__units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t factor; /* 0: refused */
    } rows[] = {
        {NULL, 1},
        {"", 1},
        {"byte", 1},
        {"byte * 2^30", UINT64_C(1) << 30},
        {"byte*2^20", 1 << 20},
        {" bytes * 10^6 ", 1000000},
        {"byte * 1024", 1024},
        {"KB", 1024},
        {"MegaBytes", 1 << 20},
        {"gb", 1 << 30},
        {"TeraBytes", UINT64_C(1) << 40},
        {"byte * 2^63", UINT64_C(1) << 63},
        {"byte*1024*1024", 1 << 20},
        {"byte * 2^64", 0},
        {"byte * 2 * ", 0},
        {"byte * 3^63", 0},
        {"byte * 0", 0},
        {"KB * 2^60", 0},
        {"byte *", 0},
        {"byte * 2^", 0},
        {"byte * x", 0},
        {"hertz * 10^6", 0},
        {"byte / 2", 0},
        {"furlong", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t factor = 0;
        int rc = vf_ovf_parse_units(rows[i].text, &factor, NULL);
        if (rc != (rows[i].factor ? 0 : VF_RANGE) || (rc == 0 && factor != rows[i].factor)) {
            fail_msg("\"%s\"", rows[i].text);
        }
    }
}

#define DISK_OF(capacity, more)                                                                    \
    "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"" capacity "\" " more "/>"

static void test_ovf__bad_disks_and_files(void **state)
{
    (void)state;
    static const struct {
        struct parts p;
        int code;
        const char *message;
    } rows[] = {
        {{.disks = DISK_OF("0", "")}, VF_RANGE, "no size of a disk"},
        {{.disks = DISK_OF("-1", "")}, VF_RANGE, "is no number"},
        {{.disks = DISK_OF("1e9", "")}, VF_RANGE, "is no number"},
        {{.disks = DISK_OF("", "")}, VF_RANGE, "is no number"},
        {{.disks = DISK_OF("1000", "")}, VF_RANGE, "no size of a disk"},
        {{.disks = DISK_OF("99999999999999999999999", "")}, VF_RANGE, "is no number"},
        {{.disks = DISK_OF("9223372036854775808", "")}, VF_RANGE, "no size of a disk"},
        {{.disks = DISK_OF("99999999999", "ovf:capacityAllocationUnits=\"byte * 2^40\"")},
         VF_RANGE,
         "no size of a disk"},
        {{.disks = DISK_OF("1", "ovf:capacityAllocationUnits=\"acre\"")}, VF_RANGE, "\"acre\""},
        {{.disks = DISK_OF("512", "ovf:parentRef=\"d0\"")}, VF_UNSUPPORTED, "difference to disk"},
        {{.disks = "<Disk ovf:fileRef=\"f1\" ovf:capacity=\"512\"/>"},
         VF_INVALID,
         "without diskId"},
        {{.references = " "}, VF_INVALID, "disk \"d1\": there is no file \"f1\""},
        {{.references = "<File ovf:id=\"f1\"/>"}, VF_INVALID, "without id or href"},
        {{.references = "<File ovf:id=\"f1\" ovf:href=\"http://x/a.vmdk\"/>"},
         VF_UNSUPPORTED,
         "not in the package"},
        {{.references = "<File ovf:id=\"f1\" ovf:href=\"a\" ovf:chunkSize=\"10\"/>"},
         VF_UNSUPPORTED,
         "chunks"},
        {{.references = "<File ovf:id=\"f1\" ovf:href=\"a\" ovf:compression=\"bzip2\"/>"},
         VF_UNSUPPORTED,
         "bzip2"},
        {{.references = "<File ovf:id=\"f1\" ovf:href=\"a\" ovf:size=\"big\"/>"},
         VF_RANGE,
         "\"big\""},
        {{.references = "<File ovf:id=\"f1\" ovf:href=\"a\"/><File ovf:id=\"f1\" ovf:href=\"b\"/>"},
         VF_INVALID,
         "given twice"},
        {{.items = CPU_AND_MEMORY DISK_ITEM("4", "3", "0", "none")},
         VF_INVALID,
         "item \"item 4\": there is no disk \"none\""},
        {{.items = CPU_AND_MEMORY DISK_ITEM("4", "3", "0", "d1") DISK_ITEM("5", "3", "1", "d1")},
         VF_UNSUPPORTED,
         "the file of disk \"d1\" fills two disks"},
        {{.disks = DISK_OF("512", "") "<Disk ovf:diskId=\"d2\" ovf:fileRef=\"f1\" "
                                      "ovf:capacity=\"512\"/>",
          .items = CPU_AND_MEMORY DISK_ITEM("4", "3", "0", "d1") DISK_ITEM("5", "3", "1", "d2")},
         VF_UNSUPPORTED,
         "the file of disk \"d2\" fills two disks"},
        {{.items = CPU_AND_MEMORY ITEM("4", "17",
                                       "<rasd:HostResource>ovf:/file/f1"
                                       "</rasd:HostResource>")},
         VF_INVALID,
         "no disk of the package"},
        {{.before_system = "<EncryptionSection/>"}, VF_UNSUPPORTED, "encrypted"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        expect_error(&rows[i].p, rows[i].code, rows[i].message);
    }
}

static void test_ovf__empty_disks_and_bounds(void **state)
{
    (void)state;
    struct parts p = {.disks = "<Disk ovf:diskId=\"e\" ovf:capacity=\"1024\"/>",
                      .items =
                          CPU_AND_MEMORY DISK_ITEM("4", "3", "0", "e") DISK_ITEM("5", "3", "1", "e")
                              ITEM("6", "17",
                                   "<rasd:AddressOnParent>2</"
                                   "rasd:AddressOnParent><rasd:AllocationUnits>byte*1024*1024"
                                   "</rasd:AllocationUnits><rasd:VirtualQuantity>3</"
                                   "rasd:VirtualQuantity>") "<Item "
                                                            "ovf:bound=\"min\"><rasd:ResourceType>"
                                                            "4</rasd:ResourceType></Item>"
                                                            "<Item "
                                                            "ovf:bound=\"max\"><rasd:ResourceType>"
                                                            "3</rasd:ResourceType>"
                                                            "<rasd:VirtualQuantity>99</"
                                                            "rasd:VirtualQuantity></Item>"};
    struct vf_ovf ovf;
    parse_parts(&p, &ovf);
    assert_int_equal(ovf.vm.cpus, 4);
    assert_int_equal(ovf.vm.n_disks, 3);
    assert_int_equal(ovf.vm.disks[1].capacity_bytes, 1024);
    assert_int_equal(ovf.vm.disks[2].capacity_bytes, 3 << 20);
    assert_null(ovf.vm.disks[2].file);
    vf_ovf_release(&ovf);
    p.items = ITEM("6", "17", "");
    expect_error(&p, VF_INVALID, "refers to no disk");
    p.items = ITEM("6", "17", "<rasd:VirtualQuantity>3</rasd:VirtualQuantity>");
    expect_error(&p, VF_RANGE, "no size of a disk");
}

static void test_ovf__absurd_numbers_are_range(void **state)
{
    (void)state;
    static const char *const items[] = {
        "<Item><rasd:ResourceType>3</rasd:ResourceType></Item>",
        "<Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>0"
        "</rasd:VirtualQuantity></Item>",
        "<Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4000000000"
        "</rasd:VirtualQuantity></Item>",
        "<Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2"
        "</rasd:VirtualQuantity><vmw:CoresPerSocket>0</vmw:CoresPerSocket></Item>",
        "<Item><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048"
        "</rasd:VirtualQuantity></Item>", /* bytes */
        "<Item><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>byte * 2^60"
        "</rasd:AllocationUnits><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>",
        "<Item><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>MB"
        "</rasd:AllocationUnits><rasd:VirtualQuantity>much</rasd:VirtualQuantity></Item>",
    };
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        struct parts p = {.items = items[i]};
        expect_error(&p, VF_RANGE, "x.ovf: item");
    }
}

static void test_ovf__several_systems_are_listed(void **state)
{
    (void)state;
    expect_error_of(HEAD "<VirtualSystemCollection ovf:id=\"app\"><VirtualSystem ovf:id=\"a\"/>"
                         "<VirtualSystemCollection><VirtualSystem ovf:id=\"x\"><Name>b c</Name>"
                         "</VirtualSystem></VirtualSystemCollection></VirtualSystemCollection>"
                         "</Envelope>",
                    VF_INVALID, "x.ovf: the descriptor holds 2 virtual machines: \"a\", \"b c\"");
    expect_error_of(HEAD "<VirtualSystemCollection/></Envelope>", VF_INVALID, "no virtual machine");
    expect_error_of(HEAD "<VirtualSystem ovf:id=\"a\"/></Envelope>", VF_INVALID,
                    "no hardware section");
}

static void test_ovf__other_documents(void **state)
{
    (void)state;
    expect_error_of("", VF_INVALID, "empty");
    expect_error_of("KDMV", VF_INVALID, "not well-formed");
    expect_error_of("<a/>", VF_INVALID, "not an OVF descriptor");
    expect_error_of("<Envelope xmlns=\"http://www.vmware.com/schema/ovf/1/envelope\"/>",
                    VF_UNSUPPORTED, "not OVF 1 or 2");
    expect_error_of("<!DOCTYPE x [<!ENTITY e SYSTEM \"/etc/passwd\">]><Envelope>&e;</Envelope>",
                    VF_INVALID, "DOCTYPE");
}

static void test_ovf__mac_forms(void **state)
{
    (void)state;
    static const struct {
        const char *item, *mac;
    } rows[] = {
        {ITEM("9", "10", ADDRESS("00-50-56-00-00-0A")), "00:50:56:00:00:0a"},
        {ITEM("9", "10", ADDRESS("00:50:56:00:00")), NULL},
        {ITEM("9", "10", ADDRESS("00:50:56:00:00:0a:0b")), NULL},
        {ITEM("9", "10", ADDRESS("0:50:56:00:00:0a:0")), NULL},
        {ITEM("9", "10", ADDRESS("xx:50:56:00:00:0a")), NULL},
        {ITEM("9", "10", ""), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct parts p = {.items = rows[i].item};
        struct vf_ovf ovf;
        parse_parts(&p, &ovf);
        if (rows[i].mac) {
            assert_string_equal(ovf.vm.nics[0].mac, rows[i].mac);
        } else {
            assert_null(ovf.vm.nics[0].mac);
        }
        vf_ovf_release(&ovf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ovf__vmware_descriptor),
        cmocka_unit_test(test_ovf__drives_and_devices),
        cmocka_unit_test(test_ovf__shares_and_boot_order),
        cmocka_unit_test(test_ovf__virtualbox_and_version_2),
        cmocka_unit_test(test_ovf__default_configuration_is_taken),
        cmocka_unit_test(test_ovf__capacity_from_a_property),
        cmocka_unit_test(test_ovf__units),
        cmocka_unit_test(test_ovf__bad_disks_and_files),
        cmocka_unit_test(test_ovf__empty_disks_and_bounds),
        cmocka_unit_test(test_ovf__absurd_numbers_are_range),
        cmocka_unit_test(test_ovf__several_systems_are_listed),
        cmocka_unit_test(test_ovf__other_documents),
        cmocka_unit_test(test_ovf__mac_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
