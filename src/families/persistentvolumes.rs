//! The resource `persistentvolumes`: its families show the claim, the phase, the capacity and the volume source of each
//! volume. The volume source is the field of the spec that describes the storage, such as `nfs` or `csi`.

use k8s_openapi::api::core::v1::{
    FCVolumeSource, ISCSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec,
};

use super::common;
use crate::family::{Samples, Stability};
use crate::k8s::Quantity;
use crate::{Collector, Family};

const PHASES: [&str; 5] = ["Pending", "Available", "Bound", "Released", "Failed"];

/// The labels of `kube_persistentvolume_info` for all types of volume sources. Labels that belong to another type are
/// empty.
#[derive(Default)]
struct Source<'a> {
    gce_persistent_disk_name: &'a str,
    ebs_volume_id: &'a str,
    azure_disk_name: &'a str,
    fc_wwids: String,
    fc_lun: Option<i32>,
    fc_target_wwns: String,
    iscsi_target_portal: &'a str,
    iscsi_iqn: &'a str,
    iscsi_lun: Option<i32>,
    iscsi_initiator_name: &'a str,
    nfs_server: &'a str,
    nfs_path: &'a str,
    csi_driver: &'a str,
    csi_volume_handle: &'a str,
    local_path: &'a str,
    local_fs: &'a str,
    host_path: &'a str,
    host_path_type: &'a str,
}

/// The families of PersistentVolumes.
///
/// ```
/// use kube_state_metrics::families::persistentvolumes;
///
/// assert!(persistentvolumes().iter().any(|family| family.descriptor().name() == "kube_persistentvolume_claim_ref"));
/// ```
#[must_use]
pub fn persistentvolumes() -> Collector<PersistentVolume> {
    type F = Family<PersistentVolume>;
    Collector::new().families([
        F::gauge(
            "kube_persistentvolume_claim_ref",
            "Always 1 for each PersistentVolume with a claim reference; the labels name the \
             bound or reserved PersistentVolumeClaim. Absent if the volume has no claim reference.",
        )
        .stable()
        .labels(["name", "claim_namespace"])
        .reads(["spec.claimRef.name", "spec.claimRef.namespace"])
        .generate(|volume, s| {
            if let Some(claim) = spec(volume).and_then(|spec| spec.claim_ref.as_ref()) {
                s.label("name", claim.name.as_deref())
                    .label("claim_namespace", claim.namespace.as_deref())
                    .value(1);
            }
        }),
        common::annotations(
            "kube_persistentvolume_annotations",
            "PersistentVolume",
            Stability::Alpha,
        ),
        common::labels(
            "kube_persistentvolume_labels",
            "PersistentVolume",
            Stability::Stable,
        ),
        F::gauge(
            "kube_persistentvolume_status_phase",
            "Phase of the PersistentVolume (Pending, Available, Bound, Released, Failed): 1 for \
             the current phase, otherwise 0. Absent until the volume has a phase.",
        )
        .stable()
        .labels(["phase"])
        .reads(["status.phase"])
        .generate(|volume, s| {
            let status = volume.status.as_ref();
            let phase = status
                .and_then(|status| status.phase.as_deref())
                .unwrap_or_default();
            if !phase.is_empty() {
                s.state_set("phase", &PHASES, phase);
            }
        }),
        F::gauge(
            "kube_persistentvolume_info",
            "Always 1 for each PersistentVolume; the labels are its storage class, reclaim \
             policy and volume source. Labels of other volume sources are empty.",
        )
        .stable()
        .labels([
            "storageclass",
            "gce_persistent_disk_name",
            "ebs_volume_id",
            "azure_disk_name",
            "fc_wwids",
            "fc_lun",
            "fc_target_wwns",
            "iscsi_target_portal",
            "iscsi_iqn",
            "iscsi_lun",
            "iscsi_initiator_name",
            "nfs_server",
            "nfs_path",
            "csi_driver",
            "csi_volume_handle",
            "local_path",
            "local_fs",
            "host_path",
            "host_path_type",
            "reclaim_policy",
        ])
        .reads([
            "spec.storageClassName",
            "spec.gcePersistentDisk.pdName",
            "spec.awsElasticBlockStore.volumeID",
            "spec.azureDisk.diskName",
            "spec.fc.wwids",
            "spec.fc.lun",
            "spec.fc.targetWWNs",
            "spec.iscsi.targetPortal",
            "spec.iscsi.iqn",
            "spec.iscsi.lun",
            "spec.iscsi.initiatorName",
            "spec.nfs.server",
            "spec.nfs.path",
            "spec.csi.driver",
            "spec.csi.volumeHandle",
            "spec.local.path",
            "spec.local.fsType",
            "spec.hostPath.path",
            "spec.hostPath.type",
            "spec.persistentVolumeReclaimPolicy",
        ])
        .generate(info),
        F::gauge(
            "kube_persistentvolume_capacity_bytes",
            "Storage capacity of the PersistentVolume, in bytes; 0 if not set.",
        )
        .stable()
        .reads(["spec.capacity.storage"])
        .generate(capacity),
        F::gauge(
            "kube_persistentvolume_created",
            "Unix time when the PersistentVolume was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_persistentvolume_deletion_timestamp",
            "Unix time when the PersistentVolume is due for deletion, in seconds; absent until \
             deletion is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
        F::gauge(
            "kube_persistentvolume_csi_attributes",
            "Always 1 for each CSI PersistentVolume; the labels are its mounter and map \
             options. Absent for other volume sources.",
        )
        .opt_in()
        .labels(["csi_mounter", "csi_map_options"])
        .reads([
            "spec.csi.volumeAttributes.mounter",
            "spec.csi.volumeAttributes.mapOptions",
        ])
        .generate(csi_attributes),
        F::gauge(
            "kube_persistentvolume_volume_mode",
            "Always 1 for each PersistentVolume; `volumemode` is Filesystem or Block.",
        )
        .labels(["volumemode"])
        .reads(["spec.volumeMode"])
        .generate(|volume, s| {
            let mode = spec(volume).and_then(|spec| spec.volume_mode.as_deref());
            s.label("volumemode", mode.unwrap_or("Filesystem")).value(1);
        }),
        F::gauge(
            "kube_persistentvolume_access_mode",
            "Always 1 for each access mode of the PersistentVolume, such as ReadWriteOnce.",
        )
        .labels(["access_mode"])
        .reads(["spec.accessModes"])
        .generate(|volume, s| {
            let spec = spec(volume);
            for mode in spec
                .and_then(|spec| spec.access_modes.as_ref())
                .into_iter()
                .flatten()
            {
                s.label("access_mode", mode).value(1);
            }
        }),
    ])
}

fn spec(volume: &PersistentVolume) -> Option<&PersistentVolumeSpec> {
    volume.spec.as_ref()
}

fn info(volume: &PersistentVolume, s: &mut Samples<'_>) {
    let spec = spec(volume);
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref());
    let reclaim_policy = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let source = spec.map(source).unwrap_or_default();
    s.label("storageclass", class)
        .label("gce_persistent_disk_name", source.gce_persistent_disk_name)
        .label("ebs_volume_id", source.ebs_volume_id)
        .label("azure_disk_name", source.azure_disk_name)
        .label("fc_wwids", source.fc_wwids)
        .label("fc_lun", source.fc_lun)
        .label("fc_target_wwns", source.fc_target_wwns)
        .label("iscsi_target_portal", source.iscsi_target_portal)
        .label("iscsi_iqn", source.iscsi_iqn)
        .label("iscsi_lun", source.iscsi_lun)
        .label("iscsi_initiator_name", source.iscsi_initiator_name)
        .label("nfs_server", source.nfs_server)
        .label("nfs_path", source.nfs_path)
        .label("csi_driver", source.csi_driver)
        .label("csi_volume_handle", source.csi_volume_handle)
        .label("local_path", source.local_path)
        .label("local_fs", source.local_fs)
        .label("host_path", source.host_path)
        .label("host_path_type", source.host_path_type)
        .label("reclaim_policy", reclaim_policy)
        .value(1);
}

/// The labels for the first volume source of a spec. The API allows only one source, but an object may have several.
fn source(spec: &PersistentVolumeSpec) -> Source<'_> {
    let mut labels = Source::default();
    if let Some(gce) = &spec.gce_persistent_disk {
        labels.gce_persistent_disk_name = &gce.pd_name;
    } else if let Some(ebs) = &spec.aws_elastic_block_store {
        labels.ebs_volume_id = &ebs.volume_id;
    } else if let Some(azure) = &spec.azure_disk {
        labels.azure_disk_name = &azure.disk_name;
    } else if let Some(fc) = &spec.fc {
        fibre_channel(fc, &mut labels);
    } else if let Some(iscsi) = &spec.iscsi {
        internet_scsi(iscsi, &mut labels);
    } else if let Some(nfs) = &spec.nfs {
        labels.nfs_server = &nfs.server;
        labels.nfs_path = &nfs.path;
    } else if let Some(csi) = &spec.csi {
        labels.csi_driver = &csi.driver;
        labels.csi_volume_handle = &csi.volume_handle;
    } else if let Some(local) = &spec.local {
        labels.local_path = &local.path;
        labels.local_fs = local.fs_type.as_deref().unwrap_or_default();
    } else if let Some(host) = &spec.host_path {
        labels.host_path = &host.path;
        labels.host_path_type = host.type_.as_deref().unwrap_or_default();
    }
    labels
}

fn fibre_channel(fc: &FCVolumeSource, labels: &mut Source<'_>) {
    labels.fc_wwids = join(fc.wwids.as_deref());
    labels.fc_lun = fc.lun;
    labels.fc_target_wwns = join(fc.target_wwns.as_deref());
}

fn internet_scsi<'a>(iscsi: &'a ISCSIPersistentVolumeSource, labels: &mut Source<'a>) {
    labels.iscsi_target_portal = &iscsi.target_portal;
    labels.iscsi_iqn = &iscsi.iqn;
    labels.iscsi_lun = Some(iscsi.lun);
    labels.iscsi_initiator_name = iscsi.initiator_name.as_deref().unwrap_or_default();
}

/// Joins strings with commas. Skips empty strings at the start of the list.
fn join(texts: Option<&[String]>) -> String {
    let mut joined = String::new();
    for text in texts.unwrap_or_default() {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(text);
    }
    joined
}

fn capacity(volume: &PersistentVolume, s: &mut Samples<'_>) {
    let capacity = spec(volume).and_then(|spec| spec.capacity.as_ref());
    match capacity.and_then(|capacity| capacity.get("storage")) {
        None => s.value(0),
        Some(storage) => {
            s.maybe_value(Quantity::parse(&storage.0).and_then(|storage| storage.whole()))
        }
    }
}

fn csi_attributes(volume: &PersistentVolume, s: &mut Samples<'_>) {
    if let Some(csi) = spec(volume).and_then(|spec| spec.csi.as_ref()) {
        let attributes = csi.volume_attributes.as_ref();
        s.label("csi_mounter", attributes.and_then(|own| own.get("mounter")))
            .label(
                "csi_map_options",
                attributes.and_then(|own| own.get("mapOptions")),
            )
            .value(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::families::testing;

    /// The samples of one family for a volume with this spec. The samples are without the family name and the base
    /// labels.
    fn samples(family: &str, spec: Value) -> Vec<String> {
        let volume = json!({ "metadata": { "name": "v" }, "spec": spec });
        let lines = testing::family(persistentvolumes(), family, &volume);
        let start = format!("{family}{{persistentvolume=\"v\"");
        lines
            .iter()
            .map(|line| line.strip_prefix(&start).unwrap().to_owned())
            .collect()
    }

    /// The labels of the volume source, without the empty labels.
    fn source_labels(spec: Value) -> Vec<String> {
        let lines = samples("kube_persistentvolume_info", spec);
        let [line] = lines.as_slice() else {
            panic!("expected one sample: {lines:?}")
        };
        let labels = line.strip_prefix(',').unwrap().strip_suffix("} 1").unwrap();
        labels
            .split(',')
            .filter(|label| !label.ends_with("=\"\""))
            .map(String::from)
            .collect()
    }

    #[test]
    fn the_info_has_all_its_labels_in_a_fixed_order_even_without_a_spec() {
        let empty = json!({ "metadata": { "name": "v" } });
        assert_eq!(
            testing::family(persistentvolumes(), "kube_persistentvolume_info", &empty),
            [
                "kube_persistentvolume_info{persistentvolume=\"v\",storageclass=\"\",\
              gce_persistent_disk_name=\"\",ebs_volume_id=\"\",azure_disk_name=\"\",fc_wwids=\"\",\
              fc_lun=\"\",fc_target_wwns=\"\",iscsi_target_portal=\"\",iscsi_iqn=\"\",\
              iscsi_lun=\"\",iscsi_initiator_name=\"\",nfs_server=\"\",nfs_path=\"\",\
              csi_driver=\"\",csi_volume_handle=\"\",local_path=\"\",local_fs=\"\",host_path=\"\",\
              host_path_type=\"\",reclaim_policy=\"\"} 1"
            ]
        );
    }

    #[test]
    fn each_volume_source_fills_its_own_labels() {
        for (spec, labels) in [
            (
                json!({ "gcePersistentDisk": { "pdName": "d" } }),
                vec!["gce_persistent_disk_name=\"d\""],
            ),
            (
                json!({ "awsElasticBlockStore": { "volumeID": "v-1" } }),
                vec!["ebs_volume_id=\"v-1\""],
            ),
            (
                json!({ "azureDisk": { "diskName": "a" } }),
                vec!["azure_disk_name=\"a\""],
            ),
            (
                json!({ "fc": { "wwids": ["w"], "lun": 0, "targetWWNs": ["t"] } }),
                vec!["fc_wwids=\"w\"", "fc_lun=\"0\"", "fc_target_wwns=\"t\""],
            ),
            (json!({ "fc": { "lun": -1 } }), vec!["fc_lun=\"-1\""]),
            (
                json!({ "iscsi": { "targetPortal": "p", "iqn": "q", "initiatorName": "i" } }),
                vec![
                    "iscsi_target_portal=\"p\"",
                    "iscsi_iqn=\"q\"",
                    "iscsi_lun=\"0\"",
                    "iscsi_initiator_name=\"i\"",
                ],
            ),
            (
                json!({ "nfs": { "server": "s", "path": "/p" } }),
                vec!["nfs_server=\"s\"", "nfs_path=\"/p\""],
            ),
            (
                json!({ "csi": { "driver": "d", "volumeHandle": "h" } }),
                vec!["csi_driver=\"d\"", "csi_volume_handle=\"h\""],
            ),
            (
                json!({ "local": { "path": "/p", "fsType": "xfs" } }),
                vec!["local_path=\"/p\"", "local_fs=\"xfs\""],
            ),
            (
                json!({ "hostPath": { "path": "/p", "type": "File" } }),
                vec!["host_path=\"/p\"", "host_path_type=\"File\""],
            ),
            (json!({ "cephfs": { "monitors": ["m"] } }), vec![]),
        ] {
            assert_eq!(source_labels(spec.clone()), labels, "{spec}");
        }
    }

    #[test]
    fn the_first_source_shadows_later_ones_even_when_it_is_empty() {
        let mut spec = json!({
            "gcePersistentDisk": {}, "awsElasticBlockStore": {}, "azureDisk": {}, "fc": {},
            "iscsi": {}, "nfs": {}, "csi": {}, "local": {},
            "hostPath": { "path": "/p", "type": "File" },
        });
        for source in [
            "gcePersistentDisk",
            "awsElasticBlockStore",
            "azureDisk",
            "fc",
            "iscsi",
            "nfs",
            "csi",
            "local",
        ] {
            let labels = source_labels(spec.clone());
            let expected = if source == "iscsi" {
                vec!["iscsi_lun=\"0\""]
            } else {
                vec![]
            };
            assert_eq!(labels, expected, "{source}");
            spec.as_object_mut().unwrap().remove(source);
        }
        assert_eq!(
            source_labels(spec),
            ["host_path=\"/p\"", "host_path_type=\"File\""]
        );
    }

    #[test]
    fn capacity_is_0_where_it_is_missing_and_absent_where_it_does_not_parse() {
        let capacity = |spec| samples("kube_persistentvolume_capacity_bytes", spec);
        assert_eq!(capacity(json!({})), ["} 0"]);
        assert_eq!(capacity(json!({ "capacity": { "cpu": "1" } })), ["} 0"]);
        assert_eq!(
            capacity(json!({ "capacity": { "storage": null } })),
            ["} 0"]
        );
        assert_eq!(
            capacity(json!({ "capacity": { "storage": "1.5" } })),
            ["} 2"]
        );
        assert!(capacity(json!({ "capacity": { "storage": "1GiB" } })).is_empty());
    }

    #[test]
    fn csi_attributes_need_a_csi_source_and_the_exact_keys() {
        let attributes = |spec| samples("kube_persistentvolume_csi_attributes", spec);
        let csi = json!({ "volumeAttributes": { "mounter": "m", "mapOptions": "o" } });
        assert_eq!(
            attributes(json!({ "csi": csi, "nfs": { "server": "s" } })),
            [",csi_mounter=\"m\",csi_map_options=\"o\"} 1"]
        );
        let csi = json!({ "volumeAttributes": { "Mounter": "m", "mapoptions": "o" } });
        assert_eq!(
            attributes(json!({ "csi": csi })),
            [",csi_mounter=\"\",csi_map_options=\"\"} 1"]
        );
        assert!(attributes(json!({ "nfs": { "server": "s" } })).is_empty());
    }

    #[test]
    fn the_volume_mode_defaults_to_a_file_system_unless_it_is_empty() {
        let mode = |spec| samples("kube_persistentvolume_volume_mode", spec);
        assert_eq!(mode(json!({})), [",volumemode=\"Filesystem\"} 1"]);
        assert_eq!(
            mode(json!({ "volumeMode": null })),
            [",volumemode=\"Filesystem\"} 1"]
        );
        assert_eq!(mode(json!({ "volumeMode": "" })), [",volumemode=\"\"} 1"]);
        assert_eq!(
            mode(json!({ "volumeMode": "Tape" })),
            [",volumemode=\"Tape\"} 1"]
        );
    }

    #[test]
    fn an_empty_phase_has_no_samples() {
        let phase = |status| {
            let volume = json!({ "metadata": { "name": "v" }, "status": status });
            testing::family(
                persistentvolumes(),
                "kube_persistentvolume_status_phase",
                &volume,
            )
            .len()
        };
        assert_eq!(
            [
                phase(json!(null)),
                phase(json!({})),
                phase(json!({ "phase": "" }))
            ],
            [0; 3]
        );
        assert_eq!(phase(json!({ "phase": "Lost" })), PHASES.len());
    }
}
