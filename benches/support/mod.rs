//! Code that the benchmarks share: generated pods, and a map of texts. The benchmarks compare the store with this map,
//! which is the usual design of exporters.

#![allow(dead_code, reason = "each benchmark uses only some of the functions")]

mod pods;

use std::collections::HashMap;
use std::io::{Read, Write};

use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::testing::Generator;
use kube_state_metrics::{Collector, families};

pub(crate) use pods::pod;

pub(crate) fn typed(at: usize, state: usize) -> Pod {
    serde_json::from_value(pod(at, state)).expect("a generated pod is a pod")
}

/// Generates `count` pods.
pub(crate) fn pods(count: usize) -> Vec<Pod> {
    (0..count).map(|at| typed(at, 0)).collect()
}

/// Returns the built-in families of pods, without opt-in families and allowlists.
pub(crate) fn collector() -> Collector<Pod> {
    families::pods()
}

/// A map from each object to its rendered text, with one piece per family. This is the usual design of exporters.
///
/// A scrape reads the map once per family. Each scrape compresses the whole text.
#[derive(Default)]
pub(crate) struct TextMap {
    headers: Vec<String>,
    objects: HashMap<String, Vec<Box<[u8]>>>,
}

impl TextMap {
    pub(crate) fn new() -> Self {
        let names = families::pods();
        let headers = names.iter().map(|family| {
            let family = family.descriptor();
            format!(
                "# HELP {0} {1}\n# TYPE {0} gauge\n",
                family.name(),
                family.help()
            )
        });
        Self {
            headers: headers.collect(),
            objects: HashMap::new(),
        }
    }

    /// Stores the text that `generator` renders for an object. The text has one piece per family.
    pub(crate) fn insert(&mut self, generator: &mut Generator<Pod>, pod: &Pod) {
        let texts = generator.texts(pod);
        self.objects
            .insert(pod.metadata.uid.clone().unwrap_or_default(), texts);
    }

    pub(crate) fn write(&self, out: &mut impl Write) {
        for (at, header) in self.headers.iter().enumerate() {
            out.write_all(header.as_bytes())
                .expect("writing to memory does not fail");
            for texts in self.objects.values() {
                if let Some(text) = texts.get(at) {
                    out.write_all(text)
                        .expect("writing to memory does not fail");
                }
            }
        }
    }

    pub(crate) fn gzip(&self, level: u32) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        self.write(&mut out);
        out.finish().expect("writing to memory does not fail")
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let objects = self.objects.iter().map(|(uid, texts)| {
            let texts = texts.iter().map(|text| text.len() + size_of::<Box<[u8]>>());
            uid.len() + size_of::<String>() + texts.sum::<usize>()
        });
        objects.sum()
    }
}

/// Decompresses a whole text, as a scraper does.
pub(crate) fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(compressed)
        .read_to_end(&mut text)
        .expect("valid gzip");
    text
}
