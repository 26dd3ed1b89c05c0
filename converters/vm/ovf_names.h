/* Constants of OVF: DMTF DSP0243 2.1.1 and CIM_ResourceAllocationSettingData (DSP8023 schemas),
 * VMware's and VirtualBox's namespaces. */
#ifndef CONVERTERS_VM_OVF_NAMES_H
#define CONVERTERS_VM_OVF_NAMES_H

#define OVF_NS_PREFIX "http://schemas.dmtf.org/ovf/envelope/" /* then 1 or 2 */
#define OVF_NS_VMW    "http://www.vmware.com/schema/ovf"
#define OVF_NS_VBOX   "http://www.virtualbox.org/ovf/machine"

/* ResourceType of CIM_ResourceAllocationSettingData */
enum ovf_resource {
    OVF_RESOURCE_OTHER = 1,
    OVF_RESOURCE_CPU = 3,
    OVF_RESOURCE_MEMORY = 4,
    OVF_RESOURCE_IDE = 5,
    OVF_RESOURCE_SCSI = 6,
    OVF_RESOURCE_ETHERNET = 10,
    OVF_RESOURCE_FLOPPY = 14,
    OVF_RESOURCE_CD = 15,
    OVF_RESOURCE_DVD = 16,
    OVF_RESOURCE_DISK = 17,
    OVF_RESOURCE_STORAGE = 20, /* SATA, NVMe, by ResourceSubType */
    OVF_RESOURCE_SERIAL = 21,
    OVF_RESOURCE_PARALLEL = 22,
    OVF_RESOURCE_USB = 23,
    OVF_RESOURCE_GRAPHICS = 24,
    OVF_RESOURCE_SOUND = 35,
};

/* Ceilings, well above what vSphere 9 can configure. */
#define OVF_MAX_ITEMS        1024
#define OVF_MAX_DISK_BYTES   (UINT64_C(1) << 50)
#define OVF_MAX_CPUS         4096
#define OVF_MIN_MEMORY_BYTES (UINT64_C(4) << 20)
#define OVF_MAX_MEMORY_BYTES (UINT64_C(1) << 47)

#endif
