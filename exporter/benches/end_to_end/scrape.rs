//! A scraper that reuses one connection. The scraper reads whole bodies, and measures the times until the first and the
//! last byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A connection to an exporter.
pub(crate) struct Scraper {
    reader: BufReader<TcpStream>,
}

/// The cost of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// Time until the first byte of the body.
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
    /// Bytes of the body, before decompression.
    pub(crate) bytes: u64,
}

impl Scraper {
    pub(crate) fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 20, stream),
        })
    }

    /// Reads a body and discards it.
    pub(crate) fn scrape(&mut self, gzip: bool) -> io::Result<Taken> {
        self.read(gzip, None)
    }

    /// Reads a body.
    pub(crate) fn body(&mut self, gzip: bool) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.read(gzip, Some(&mut body))?;
        Ok(body)
    }

    fn read(&mut self, gzip: bool, mut body: Option<&mut Vec<u8>>) -> io::Result<Taken> {
        let encoding = if gzip { "gzip" } else { "identity" };
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept-encoding: {encoding}\r\n\r\n"
        );
        let start = Instant::now();
        self.reader.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut ok, mut encoded) = (String::new(), false, false);
        while self.reader.read_line(&mut line)? > 2 {
            ok |= line.starts_with("HTTP/1.1 200");
            encoded |= line.to_ascii_lowercase().trim_end() == "content-encoding: gzip";
            line.clear();
        }
        if !ok || encoded != gzip {
            return Err(io::Error::other("not the requested encoding"));
        }
        let mut taken = Taken::default();
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            if taken.bytes == 0 {
                taken.first = start.elapsed();
            }
            let size = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            match &mut body {
                Some(body) => {
                    (&mut self.reader).take(size).read_to_end(body)?;
                }
                None => self.skip(size)?,
            }
            taken.bytes += size;
            line.clear();
            self.reader.read_line(&mut line)?;
            if size == 0 {
                taken.whole = start.elapsed();
                return Ok(taken);
            }
        }
    }

    fn skip(&mut self, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let held = self.reader.fill_buf()?.len();
            if held == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let used = usize::try_from(left).unwrap_or(usize::MAX).min(held);
            self.reader.consume(used);
            left -= used as u64;
        }
        Ok(())
    }
}
