//! Proxies for tests. They speak HTTP (`CONNECT` and forwarded requests), HTTP over TLS, or SOCKS 5.
//!
//! A proxy always connects to the loopback address, even if the client names another host.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A running proxy.
pub struct Relay {
    /// The host and the port of the proxy.
    pub address: String,
    asked: Arc<Mutex<Vec<String>>>,
    route: Route,
}

/// The port to which a proxy connects; `None` for the port that the client names.
type Route = Arc<Mutex<Option<u16>>>;

/// The protocol and the behaviour of a proxy.
#[derive(Clone)]
pub enum Speaks {
    Http,
    Https(Arc<ServerConfig>),
    Socks5,
    /// The proxy refuses every request with this status code.
    Refusal(u16),
}

// === impl Relay ===

impl Relay {
    pub fn start(speaks: Speaks) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, route) = (Arc::default(), Route::default());
        let (own, to) = (Arc::clone(&asked), Arc::clone(&route));
        // The thread of the proxy ends with the test process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (own, to) = (Arc::clone(&own), *to.lock().unwrap());
                    tokio::spawn(serve(stream, speaks.clone(), own, to));
                }
            });
        });
        Self {
            address,
            asked,
            route,
        }
    }

    /// Makes the proxy connect to the server with this URL from now on, whatever server the client names.
    pub fn lead_to(&self, url: &str) {
        let port = url.rsplit(':').next().unwrap();
        *self.route.lock().unwrap() = Some(port.parse().unwrap());
    }

    /// Returns the requests until now. The text of an HTTP request consists of the first line and the credentials for
    /// the proxy. The text of a SOCKS request consists of the user, the password and the server.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, speaks: Speaks, asked: Arc<Mutex<Vec<String>>>, to: Option<u16>) {
    // The result is ignored, because a client may close the connection at any time.
    let _ = match speaks {
        Speaks::Http => http(stream, &asked, to).await,
        Speaks::Https(config) => match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => http(stream, &asked, to).await,
            Err(error) => Err(error),
        },
        Speaks::Socks5 => socks(stream, &asked, to).await,
        Speaks::Refusal(code) => refuse(stream, code, &asked).await,
    };
}

async fn http<S>(mut stream: S, asked: &Mutex<Vec<String>>, to: Option<u16>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let head = read_head(&mut stream).await?;
    note(&head, asked);
    let target = head.split(' ').nth(1).unwrap();
    if head.starts_with("CONNECT ") {
        let mut server = connect(target, to).await?;
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
        copy_bidirectional(&mut stream, &mut server).await?;
        return Ok(());
    }
    // The client sends the request itself to the proxy, without `CONNECT`. Further forwarded requests follow on the
    // same connection.
    let (authority, _) = split_url(target);
    let server = connect(authority, to).await?;
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let responses = tokio::spawn(async move {
        let mut bytes = [0; 4096];
        loop {
            let read = from_server.read(&mut bytes).await?;
            if read == 0 {
                return Ok::<_, io::Error>(());
            }
            to_client.write_all(&bytes[..read]).await?;
        }
    });
    let mut head = head;
    while !responses.is_finished() {
        let target = head.split(' ').nth(1).unwrap();
        let (_, path) = split_url(target);
        let plain = head.replacen(target, path, 1);
        let fields = plain.split_inclusive("\r\n");
        let fields = fields.filter(|field| !field.to_lowercase().starts_with("proxy-"));
        to_server
            .write_all(fields.collect::<String>().as_bytes())
            .await?;
        head = read_head(&mut from_client).await?;
        note(&head, asked);
    }
    Ok(())
}

async fn socks(
    mut stream: TcpStream,
    asked: &Mutex<Vec<String>>,
    to: Option<u16>,
) -> io::Result<()> {
    assert_eq!(stream.read_u8().await?, 5);
    let methods = read_text(&mut stream).await?;
    let mut user = String::new();
    if methods.as_bytes().contains(&2) {
        stream.write_all(&[5, 2]).await?;
        assert_eq!(stream.read_u8().await?, 1);
        let (name, password) = (read_text(&mut stream).await?, read_text(&mut stream).await?);
        user = format!("{name}:{password}@");
        stream.write_all(&[1, 0]).await?;
    } else {
        stream.write_all(&[5, 0]).await?;
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let host = match request {
        [5, 1, 0, 1] => Ipv4Addr::from(stream.read_u32().await?).to_string(),
        [5, 1, 0, 3] => read_text(&mut stream).await?,
        other => panic!("not a request that a test makes: {other:?}"),
    };
    let target = format!("{host}:{}", stream.read_u16().await?);
    asked.lock().unwrap().push(format!("{user}{target}"));
    let mut server = connect(&target, to).await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut stream, &mut server).await?;
    Ok(())
}

async fn refuse(mut stream: TcpStream, code: u16, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    note(&read_head(&mut stream).await?, asked);
    let answer = format!("HTTP/1.1 {code} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}

/// Connects to the loopback address, on the port `to`, or else on the port of `HOST:PORT`.
async fn connect(target: &str, to: Option<u16>) -> io::Result<TcpStream> {
    let (_, port) = target.rsplit_once(':').unwrap();
    let port = to.unwrap_or_else(|| port.parse().unwrap());
    TcpStream::connect(("127.0.0.1", port)).await
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// Reads the length of a text, and then the text itself.
async fn read_text(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).unwrap())
}

fn note(head: &str, asked: &Mutex<Vec<String>>) {
    let mut lines = head.lines();
    let mut said = lines.next().unwrap().to_owned();
    for line in lines {
        // The credentials are recorded: tests check that a proxy gets only its own credentials, not the token for the
        // API server.
        if line.to_lowercase().starts_with("proxy-authorization") || line.contains("Bearer") {
            said = format!("{said}; {line}");
        }
    }
    asked.lock().unwrap().push(said);
}

/// Splits a URL into its authority and its path.
fn split_url(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("the URL is whole");
    rest.split_at(rest.find('/').unwrap())
}
