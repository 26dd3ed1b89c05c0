/* Names fixed by the vSphere Web Services API. Source: the vim25 schema (vim.wsdl, vim-types.xsd)
 * and the vSphere Web Services SDK Programming Guide. */
#ifndef IMPORTER_VSPHERE_VIM_NAMES_H
#define IMPORTER_VSPHERE_VIM_NAMES_H

#define VF_VIM_NS  "urn:vim25"
#define VF_SOAP_NS "http://schemas.xmlsoap.org/soap/envelope/"

/* Oldest API with RetrievePropertiesEx, WaitForUpdatesEx, CreatePropertyCollector and
 * PropertyFilterSpec.reportMissingObjectsInResults, all "since vSphere API 4.1". */
#define VF_VIM_MIN_VERSION "4.1"

/* Managed object types. */
#define VF_MO_VM           "VirtualMachine"
#define VF_MO_SNAPSHOT     "VirtualMachineSnapshot"
#define VF_MO_LEASE        "HttpNfcLease"
#define VF_MO_TASK         "Task"
#define VF_MO_COLLECTOR    "PropertyCollector"
#define VF_MO_VIEW_MANAGER "ViewManager"
#define VF_MO_VIEW         "ContainerView"
#define VF_MO_SESSIONS     "SessionManager"
#define VF_MO_OVF_MANAGER  "OvfManager"
#define VF_MO_RIGHTS       "AuthorizationManager"
#define VF_MO_LICENCES     "LicenseManager"
#define VF_MO_FIELDS       "CustomFieldsManager"
#define VF_MO_FOLDER       "Folder"
#define VF_MO_DATACENTER   "Datacenter"
#define VF_MO_HOST         "HostSystem"
#define VF_MO_CLUSTER      "ClusterComputeResource"
#define VF_MO_DATASTORE    "Datastore"
#define VF_MO_NETWORK      "Network"
#define VF_MO_PORTGROUP    "DistributedVirtualPortgroup"
#define VF_MO_OPAQUE       "OpaqueNetwork"
#define VF_MO_VAPP         "VirtualApp"
#define VF_MO_ENTITY       "ManagedEntity"

#endif
