//! Hides the exporter's own credentials in responses of the API server and of proxies.
//!
//! A server or a proxy may repeat a header of the request in the response. Without this module, the credentials in such
//! a header would appear in the log, in `/readyz` and on the landing page. The module reads the credentials from the
//! headers of each request. So the module also hides renewed credentials, and the credentials of credential plugins.
//!
//! - In a response with an error status, the text `[hidden]` replaces the token and the password. The text also
//!   replaces each part of the token that has at least [`PART`] bytes, and the Base64 text of user and password.
//! - In a response with another status, only long credentials are replaced, by a text of the same length. The length
//!   must stay the same because the response may be protobuf. Short credentials are not replaced: otherwise a password
//!   that is a common word would change objects that contain this word.

use std::collections::HashSet;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http_body::{Body, Frame};

/// The credentials of a request.
#[derive(Default)]
pub(super) struct OwnSecrets {
    texts: Vec<Vec<u8>>,
    /// The tokens, which `texts` also contains. In a response with an error status, parts of tokens are also hidden.
    tokens: Vec<Vec<u8>>,
}

/// A response body in which the credentials of the request are hidden.
pub(super) struct HidingBody<B> {
    body: B,
    hider: Hider,
    has_ended: bool,
}

enum Hider {
    Error(ErrorHider),
    Content(ContentHider),
}

/// Hides all secrets in the body of an error response.
struct ErrorHider {
    texts: Vec<Vec<u8>>,
    /// All sequences of [`PART`] bytes in the tokens.
    parts: HashSet<Vec<u8>>,
    /// The last bytes that arrived. These bytes are not passed on yet, because they may be the beginning of a secret.
    held: Vec<u8>,
    /// The number of bytes at the start of `held` that belong to a secret.
    hidden: usize,
    /// The byte before `held`.
    last: Option<u8>,
    /// Whether `last` was hidden.
    was_hidden: bool,
}

/// Hides long secrets, and does not change the length of the response body.
struct ContentHider {
    secrets: Vec<Vec<u8>>,
    /// The last bytes that were passed on to the reader of the body, if they may be the beginning of a secret. The
    /// number of these bytes is less than [`START`].
    passed: Vec<u8>,
    /// The bytes after `passed`. These bytes are not passed on yet, because they may belong to a secret.
    held: Vec<u8>,
}

const HIDDEN: &str = "[hidden]";
/// A part of a token is hidden if it has at least this number of bytes. Common words are shorter.
const PART: usize = 16;
/// A secret with fewer bytes than this is hidden only if it is a separate word. Otherwise a password such as `test`
/// would change words such as `latest`.
const WORD: usize = 8;
/// Texts with fewer bytes than this are not hidden, because most messages contain such texts by chance.
const SHORTEST: usize = 3;
/// If the content that has arrived ends with the first bytes of a secret, the hider holds these bytes until more
/// content arrives. It holds the bytes only if there are at least `START` of them: fewer bytes often match by chance,
/// and holding these bytes would delay watch events. So at most `START - 1` bytes of a secret stay visible.
const START: usize = 4;

// === impl OwnSecrets ===

impl OwnSecrets {
    /// Collects the credentials in the headers of a request, and the credentials for the proxy.
    pub(super) fn of(headers: &HeaderMap, proxy: Option<&HeaderValue>) -> Self {
        let mut own = Self::default();
        for value in headers.get_all(AUTHORIZATION).iter().chain(proxy) {
            let value = value.to_str().unwrap_or_default();
            let (scheme, credentials) = value.split_once(' ').unwrap_or(("", value));
            own.add(credentials);
            if scheme.eq_ignore_ascii_case("basic") {
                let decoded = BASE64_STANDARD.decode(credentials).unwrap_or_default();
                let decoded = String::from_utf8(decoded).unwrap_or_default();
                let password = decoded.split_once(':').map_or("", |(_, password)| password);
                own.add(&decoded);
                own.add(password);
            } else {
                own.tokens.push(credentials.as_bytes().to_vec());
            }
        }
        own
    }

    /// Adds a secret text. Also adds the forms of this text in JSON strings, including the form of Go, which escapes
    /// the characters `&`, `<` and `>`.
    fn add(&mut self, text: &str) {
        if text.len() < SHORTEST {
            return;
        }
        let json = serde_json::to_string(text).unwrap_or_default();
        let json = json.trim_start_matches('"');
        let json = json.strip_suffix('"').unwrap_or(json);
        let in_go = json.replace('&', "\\u0026");
        let in_go = in_go.replace('<', "\\u003c").replace('>', "\\u003e");
        for text in [text, json, &in_go] {
            if !self.texts.iter().any(|own| own == text.as_bytes()) {
                self.texts.push(text.as_bytes().to_vec());
            }
        }
    }
}

// === impl ErrorHider ===

impl ErrorHider {
    fn new(secrets: OwnSecrets) -> Self {
        let parts = secrets.tokens.iter().flat_map(|token| token.windows(PART));
        Self {
            parts: parts.map(<[u8]>::to_vec).collect(),
            texts: secrets.texts,
            held: Vec::new(),
            hidden: 0,
            last: None,
            was_hidden: false,
        }
    }

    fn longest(&self) -> usize {
        self.texts.iter().map(Vec::len).max().unwrap_or_default()
    }

    /// The length of the secret, or of the part of a token, that begins at a position of `held`; 0 if none begins
    /// there.
    fn length_at(&self, at: usize) -> usize {
        let rest = self.held.get(at..).unwrap_or_default();
        let before = match at.checked_sub(1) {
            Some(at) => self.held.get(at).copied(),
            None => self.last,
        };
        let is_in_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let found = self.texts.iter().filter(|own| {
            let is_word = || !is_in_word(before.as_ref()) && !is_in_word(rest.get(own.len()));
            rest.starts_with(own) && (own.len() >= WORD || is_word())
        });
        let part = rest.get(..PART).filter(|part| self.parts.contains(*part));
        let found = found.map(Vec::len).chain(part.map(<[u8]>::len));
        found.max().unwrap_or_default()
    }

    /// Returns the next bytes of the message without secrets. `ends` states whether `bytes` are the last bytes of the
    /// message.
    fn hide(&mut self, bytes: &[u8], ends: bool) -> Bytes {
        self.held.extend_from_slice(bytes);
        // If a secret begins before position `complete`, `held` contains the whole secret.
        let complete = match ends {
            true => self.held.len(),
            false => self.held.len().saturating_sub(self.longest()),
        };
        let mut out = Vec::new();
        for (at, byte) in self.held.iter().take(complete).enumerate() {
            let length = self.length_at(at);
            self.hidden = self.hidden.max(at + length);
            let is_hidden = at < self.hidden;
            match (is_hidden, self.was_hidden) {
                (false, _) => out.push(*byte),
                (true, false) => out.extend_from_slice(HIDDEN.as_bytes()),
                (true, true) => {}
            }
            self.was_hidden = is_hidden;
        }
        self.hidden = self.hidden.saturating_sub(complete);
        self.last = self.held.drain(..complete).next_back().or(self.last);
        out.into()
    }
}

// === impl ContentHider ===

impl ContentHider {
    fn new(secrets: OwnSecrets) -> Self {
        let mut secrets = secrets.texts;
        secrets.retain(|secret| secret.len() >= PART);
        // A long secret may contain a shorter secret, so longer secrets are replaced before shorter ones.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self {
            secrets,
            passed: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Returns the next bytes of the content without secrets. `ends` states whether `bytes` are the last bytes of the
    /// content.
    fn hide(&mut self, bytes: Bytes, ends: bool) -> Bytes {
        let passed = self.passed.len();
        let bytes = match passed + self.held.len() {
            0 => bytes,
            _ => [&self.passed, &self.held, &*bytes].concat().into(),
        };
        let mut bytes = self.without_secrets(bytes);
        self.passed.clear();
        self.held.clear();
        let start = match ends {
            true => None,
            false => self.start_at_end(&bytes),
        };
        if let Some(start) = start {
            let is_long = bytes.len() - start >= START;
            let held = if is_long {
                start.max(passed)
            } else {
                bytes.len()
            };
            self.held = bytes.split_off(held).to_vec();
            self.passed = bytes.slice(start.min(held)..).to_vec();
        }
        bytes.split_off(passed)
    }

    /// The position in `bytes` at which a secret may begin: the bytes from this position to the end are the first bytes
    /// of a secret. `None` if there is no such position.
    fn start_at_end(&self, bytes: &[u8]) -> Option<usize> {
        let of = |secret: &Vec<u8>| {
            let first = bytes.len().saturating_sub(secret.len().saturating_sub(1));
            let mut found = memchr::memchr_iter(*secret.first()?, bytes.get(first..)?);
            let is_start = |at: &usize| bytes.get(*at..).is_some_and(|end| secret.starts_with(end));
            found.find_map(|at| Some(first + at).filter(is_start))
        };
        self.secrets.iter().filter_map(of).min()
    }

    fn without_secrets(&self, bytes: Bytes) -> Bytes {
        let mut changed = None;
        for secret in &self.secrets {
            for at in memchr::memmem::find_iter(&bytes, secret) {
                let copy = changed.get_or_insert_with(|| bytes.to_vec());
                let hidden = copy.iter_mut().skip(at).take(secret.len());
                let text = HIDDEN.bytes().chain(std::iter::repeat(b'*'));
                hidden.zip(text).for_each(|(byte, hidden)| *byte = hidden);
            }
        }
        changed.map_or(bytes, Bytes::from)
    }
}

// === impl HidingBody ===

impl<B> HidingBody<B> {
    /// Wraps the body of a response. `is_error` states whether the response has an error status.
    pub(super) fn new(body: B, secrets: OwnSecrets, is_error: bool) -> Self {
        let hider = match is_error {
            true => Hider::Error(ErrorHider::new(secrets)),
            false => Hider::Content(ContentHider::new(secrets)),
        };
        Self {
            body,
            hider,
            has_ended: false,
        }
    }

    fn hide(&mut self, bytes: Bytes, ends: bool) -> Bytes {
        match &mut self.hider {
            Hider::Error(hider) => hider.hide(&bytes, ends),
            Hider::Content(hider) => hider.hide(bytes, ends),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for HidingBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        loop {
            if this.has_ended {
                return Poll::Ready(None);
            }
            let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
            // The body ends at the first trailers, because no client of the exporter reads trailers.
            let data = match frame.transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => this.hide(data, false),
                Some(Err(_)) | None => {
                    this.has_ended = true;
                    this.hide(Bytes::new(), true)
                }
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }
}

#[cfg(test)]
mod tests;
