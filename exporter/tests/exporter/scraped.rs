//! Prometheus itself, which asks for gzip, as the judge of what it scrapes.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::support::{Directory, Exporter, eventually, get};

/// A Prometheus that ends with the test.
struct Prometheus {
    child: Child,
    address: String,
    _data: Directory,
}

impl Prometheus {
    /// Scrapes `target` twice a second; none where it is not installed.
    fn start(target: &str) -> Option<Self> {
        let version = Command::new("prometheus").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            println!("skipped: prometheus is not installed");
            return None;
        }
        let data = Directory::new("prometheus");
        let config = data.write(
            "prometheus.yml",
            &format!(
                "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\n\
                 scrape_configs:\n- job_name: own\n  static_configs: [{{targets: ['{target}']}}]\n"
            ),
        );
        // It does not tell the port it takes, so it is given one that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={config}"))
            .arg(format!(
                "--storage.tsdb.path={}",
                data.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self {
            child,
            address,
            _data: data,
        })
    }

    /// The value of an expression that has one.
    fn value(&self, expression: &str) -> Option<f64> {
        // Not there at first.
        std::net::TcpStream::connect(&self.address).ok()?;
        let answer = get(
            &self.address,
            &format!("/api/v1/query?query={expression}"),
            &[],
        );
        let answer: Value = serde_json::from_slice(&answer.body).ok()?;
        answer["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_takes_every_sample_of_a_compressed_scrape() {
    let exporter = Exporter::start(&[]);
    let Some(prometheus) = Prometheus::start(&exporter.main) else {
        return;
    };
    let text = exporter.metrics("");
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    let taken = eventually("a scrape", || {
        prometheus
            .value("scrape_samples_scraped")
            .filter(|&count| count > 0.0)
    });
    assert_eq!(taken, samples as f64);
    assert_eq!(prometheus.value("up"), Some(1.0));
    let pods = text.matches("\nkube_pod_info{").count();
    let kept = eventually("the samples are stored", || {
        prometheus.value("count(kube_pod_info)")
    });
    assert_eq!(kept, pods as f64);
}
