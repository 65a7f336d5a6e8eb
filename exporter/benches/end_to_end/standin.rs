//! The stand-in: a simple exporter. The stand-in has the usual design of such exporters, and the code is as efficient
//! as this design allows.
//!
//! `kube` decodes complete objects into `k8s_openapi` types. A map behind a lock holds the rendered text of each
//! object, one piece per family. A scrape iterates over the map once per family, and compresses the whole text each
//! time. The stand-in uses the families of the crate, so that both exporters write the same samples.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config};
use kube_state_metrics::resource::CollectedResource;
use kube_state_metrics::testing::Generator;
use kube_state_metrics::{Collector, families};
use parking_lot::RwLock;

/// The samples of all objects of a kind.
struct Store {
    headers: Vec<String>,
    objects: RwLock<HashMap<String, Vec<Box<[u8]>>>>,
}

/// Serves the metrics of the objects of the API server at `url` until the process is killed.
pub(crate) fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let (pods, nodes) = (
        Store::new(&families::pods()),
        Store::new(&families::nodes()),
    );
    let stores = [Arc::clone(&nodes), Arc::clone(&pods)];
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let stores = stores.clone();
            // A client that disconnects is not an error.
            thread::spawn(move || connection(stream, &stores).ok());
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::try_from(Config::new(url.parse()?))?;
        let pods = tokio::spawn(pods.follow::<Pod>(Api::all(client.clone()), families::pods()));
        let nodes = tokio::spawn(nodes.follow::<Node>(Api::all(client), families::nodes()));
        pods.await?;
        nodes.await?;
        Ok(())
    })
}

// === impl Store ===

impl Store {
    fn new<K: CollectedResource>(collector: &Collector<K>) -> Arc<Self> {
        let headers = collector.iter().map(|family| {
            let (family, kind) = (family.descriptor(), family.descriptor().metric_type());
            let kind = kind.as_str();
            format!(
                "# HELP {0} {1}\n# TYPE {0} {kind}\n",
                family.name(),
                family.help()
            )
        });
        Arc::new(Self {
            headers: headers.collect(),
            objects: RwLock::default(),
        })
    }

    async fn follow<K>(self: Arc<Self>, api: Api<K>, collector: Collector<K>)
    where
        K: CollectedResource,
    {
        let mut generator = Generator::new(collector);
        let config = watcher::Config::default().streaming_lists();
        let mut events = std::pin::pin!(watcher(api, config));
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            let id = |object: &K| object.meta().uid.clone().unwrap_or_default();
            match event {
                Ok(Event::Apply(object)) => {
                    let texts = generator.texts(&object);
                    self.objects.write().insert(id(&object), texts);
                }
                Ok(Event::Delete(object)) => {
                    self.objects.write().remove(&id(&object));
                }
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    let texts = generator.texts(&object);
                    self.objects.write().insert(id(&object), texts);
                    listed.insert(id(&object));
                }
                Ok(Event::InitDone) => {
                    self.objects.write().retain(|id, _| listed.contains(id));
                    listed = HashSet::new();
                }
                // The watcher retries immediately, because a wait would make the stand-in slower.
                Err(error) => eprintln!("stand-in: {error}"),
            }
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let objects = self.objects.read();
        for (at, header) in self.headers.iter().enumerate() {
            out.write_all(header.as_bytes())?;
            for texts in objects.values() {
                if let Some(text) = texts.get(at) {
                    out.write_all(text)?;
                }
            }
        }
        Ok(())
    }
}

fn connection(stream: TcpStream, stores: &[Arc<Store>]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = BufWriter::with_capacity(64 * 1024, stream);
    loop {
        let (mut line, mut gzip) = (String::new(), false);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            gzip |= line
                .to_ascii_lowercase()
                .starts_with("accept-encoding: gzip");
            if line == "\r\n" {
                break;
            }
        }
        let encoding = if gzip { "gzip" } else { "identity" };
        write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ntransfer-encoding: chunked\r\n\r\n"
        )?;
        // The buffer collects small writes into chunks of up to 32 KiB. It sends a larger write as a separate chunk,
        // without a copy.
        let mut chunked = BufWriter::with_capacity(32 * 1024, Chunked(&mut out));
        if gzip {
            let mut encoder = GzEncoder::new(&mut chunked, Compression::default());
            stores
                .iter()
                .try_for_each(|store| store.write(&mut encoder))?;
            encoder.finish()?;
        } else {
            stores
                .iter()
                .try_for_each(|store| store.write(&mut chunked))?;
        }
        chunked.flush()?;
        drop(chunked);
        out.write_all(b"0\r\n\r\n")?;
        out.flush()?;
    }
}

/// A writer that sends each write as a chunk of the HTTP response.
struct Chunked<W>(W);

impl<W: Write> Write for Chunked<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        write!(self.0, "{:x}\r\n", piece.len())?;
        self.0.write_all(piece)?;
        self.0.write_all(b"\r\n")?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
