//! Hides the exporter's own credentials in responses of the API server and of proxies, and in errors of connections.
//!
//! A server or a proxy may repeat a header of the request in the response. Without this module, the credentials in such
//! a header would appear in the log, in `/readyz`, on the landing page and in the errors of subcommands. All responses
//! pass through this module, so no other module must hide these credentials. The module reads the credentials from the
//! headers of each request. So the module also hides renewed credentials, and the credentials of credential plugins. A
//! server may repeat the credentials of an earlier request, so the module also hides the credentials of all clients in
//! use, and the [`RECENT`] newest credentials.
//!
//! - In a response with an error status (below: an *error*), the text `[hidden]` replaces the token, the password, and
//!   the Base64 text of user and password. `[hidden]` also replaces each part of the token that has at least [`PART`]
//!   bytes. The module finds the credentials in every notation that [`Secrets`](crate::redaction) decodes. Escapes
//!   replace characters that are not visible.
//! - In a response with another status (below: *content*), only long credentials are replaced, by a text of the same
//!   length. The length must stay the same, because the response may be protobuf. The module also finds credentials
//!   that contain escapes of JSON. Short credentials are not replaced: a short password may be a common word, and
//!   objects that contain this word must not change.
//! - If a request fails without a response, or a response ends too early, the error of the connection may contain text
//!   of the server, such as the subject of its certificate. The module hides the same texts in it as in an error.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use memchr::memmem::Finder;
use parking_lot::Mutex;
use serde_json::Value;
use tower::BoxError;

use crate::redaction::{Secrets, json_escape, overwrite};

/// The credentials of the clients in use, and of the newest requests.
pub(super) struct RecentSecrets(Mutex<Option<Recent>>);

/// The credentials of the last request of a client. While this value exists, these credentials are in use.
#[derive(Default)]
pub(super) struct InUse(Mutex<Vec<HeaderValue>>);

struct Recent {
    /// The headers with the credentials. The newest headers are at the end.
    headers: VecDeque<HeaderValue>,
    clients: Vec<Weak<InUse>>,
    /// The credentials in these headers.
    secrets: Arc<OwnSecrets>,
}

/// The credentials that are hidden in a response.
#[derive(Default)]
pub(super) struct OwnSecrets {
    /// The credentials that are hidden in errors only as a whole, such as passwords.
    texts: Vec<String>,
    tokens: Vec<String>,
    /// The credentials in the form that hides them in errors. This form needs much more memory than the credentials, so
    /// the first error creates it.
    in_messages: OnceLock<Secrets>,
    in_content: LongSecrets,
}

/// The credentials that are hidden in content, prepared for the search.
#[derive(Default)]
struct LongSecrets {
    /// The credentials, and the first of them is the longest one.
    finders: Vec<Finder<'static>>,
    /// The bytes that occur in a secret, sorted.
    alphabet: Vec<u8>,
}

/// A response body in which the credentials are hidden.
pub(super) struct HidingBody<B> {
    body: B,
    secrets: Arc<OwnSecrets>,
    hider: Hider,
    has_ended: bool,
}

enum Hider {
    Error(ErrorHider),
    Content(ContentHider),
}

/// Hides all secrets in the body of an error response.
struct ErrorHider {
    secrets: Arc<OwnSecrets>,
    /// The part of the error that has arrived.
    received: Vec<u8>,
}

/// Hides long secrets, and does not change the length of the response body.
struct ContentHider {
    secrets: Arc<OwnSecrets>,
    /// Bytes that were already passed on to the reader of the body, but may be the beginning of a secret. There are
    /// fewer than [`START`] such bytes.
    passed: Vec<u8>,
    /// The bytes after `passed`. These bytes are not passed on yet, because they may belong to a secret.
    held: Vec<u8>,
}

/// Consecutive characters of JSON that can all occur in secrets. The escapes among them are decoded.
#[derive(Default)]
struct Run {
    text: Vec<u8>,
    /// For each byte of `text`, the start and the end of its notation in the JSON: the byte itself, or its escape.
    spans: Vec<(usize, usize)>,
    /// The position in the JSON after the run.
    end: usize,
}

/// The number of headers whose credentials the module remembers although no client uses them. An API server may still
/// accept these credentials.
const RECENT: usize = 8;
/// A part of a token is hidden if it has at least this number of bytes. Common words are shorter.
const PART: usize = 16;
/// The content that has arrived may end with the first bytes of a secret. If there are at least `START` such bytes, the
/// hider holds them until more content arrives. Fewer bytes often match by chance, and holding them would delay watch
/// events. So at most `START - 1` bytes of a secret stay visible.
const START: usize = 4;
/// The maximum size of an error in bytes. The module drops the text of a larger error, because no program reads such a
/// long text.
const LARGEST_ERROR: usize = 64 << 10;
/// The bytes at the start of each protobuf message of the API server.
const PROTOBUF: &[u8] = b"k8s\0";
/// The length of an escape such as `\u0041`.
const ESCAPE: usize = 6;

// === impl RecentSecrets ===

impl RecentSecrets {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Adds the credentials of a request of a client, and the credentials for the proxy. Returns these credentials, the
    /// credentials of earlier requests, and the credentials of the other clients in use.
    pub(super) fn with(
        &self,
        client: &Arc<InUse>,
        headers: &HeaderMap,
        proxy: Option<&HeaderValue>,
    ) -> Arc<OwnSecrets> {
        let new: Vec<_> = headers.get_all(AUTHORIZATION).iter().chain(proxy).collect();
        let mut recent = self.0.lock();
        let is_same = client.0.lock().iter().eq(new.iter().copied());
        if let Some(recent) = &*recent
            && is_same
            && new.iter().all(|value| recent.headers.contains(value))
        {
            return Arc::clone(&recent.secrets);
        }
        *client.0.lock() = new.iter().copied().cloned().collect();
        let before = recent.take();
        let (mut headers, mut clients) = match &before {
            Some(before) => (before.headers.clone(), before.clients.clone()),
            None => Default::default(),
        };
        clients.retain(|own| own.strong_count() > 0 && own.as_ptr() != Arc::as_ptr(client));
        clients.push(Arc::downgrade(client));
        headers.retain(|value| !new.contains(&value));
        headers.extend(new.into_iter().cloned());
        let in_use = clients.iter().filter_map(Weak::upgrade);
        let in_use: Vec<_> = in_use.flat_map(|own| own.0.lock().clone()).collect();
        let newest = headers.len().saturating_sub(RECENT);
        let mut position = 0;
        headers.retain(|value| {
            position += 1;
            position > newest || in_use.contains(value)
        });
        let is_known = |before: &Recent| {
            before.headers.len() == headers.len()
                && headers.iter().all(|value| before.headers.contains(value))
        };
        let secrets = match before.filter(is_known) {
            Some(before) => before.secrets,
            None => Arc::new(OwnSecrets::of(&headers)),
        };
        *recent = Some(Recent {
            headers,
            clients,
            secrets: Arc::clone(&secrets),
        });
        secrets
    }
}

// === impl OwnSecrets ===

impl OwnSecrets {
    /// Collects the credentials in the values of headers.
    fn of<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut own = Self::default();
        for value in headers {
            let value = value.to_str().unwrap_or_default();
            let (scheme, credentials) = value.split_once(' ').unwrap_or(("", value));
            if scheme.eq_ignore_ascii_case("basic") {
                let decoded = BASE64_STANDARD.decode(credentials).unwrap_or_default();
                let decoded = String::from_utf8(decoded).unwrap_or_default();
                let password = decoded.split_once(':').map_or("", |(_, password)| password);
                let texts = [credentials, &decoded, password];
                own.texts.extend(texts.map(str::to_owned));
            } else {
                own.tokens.push(credentials.to_owned());
            }
        }
        own.in_content = LongSecrets::of(own.texts.iter().chain(&own.tokens));
        own
    }

    fn in_messages(&self) -> &Secrets {
        self.in_messages.get_or_init(|| {
            let mut secrets = Secrets::default();
            self.texts.iter().for_each(|text| secrets.add(text));
            let tokens = self.tokens.iter();
            tokens.for_each(|token| secrets.add_token(token, PART));
            secrets
        })
    }

    /// Returns an error that shows no credentials, and no characters that are not visible. If the messages of `error`
    /// and of its sources contain neither, the function returns `error` itself, because callers may inspect its type.
    pub(super) fn hide_in_error(&self, error: BoxError) -> BoxError {
        let mut messages = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            messages.push(error.to_string());
            source = error.source();
        }
        let text = messages.join(": ");
        let shown = self.in_messages().message(&text);
        match shown == text {
            true => error,
            false => shown.into(),
        }
    }
}

// === impl LongSecrets ===

impl LongSecrets {
    fn of<'a>(secrets: impl Iterator<Item = &'a String>) -> Self {
        let mut secrets: Vec<_> = secrets
            .map(String::as_bytes)
            .filter(|secret| secret.len() >= PART)
            .collect();
        // A long secret may contain a shorter secret, so longer secrets are replaced before shorter ones.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut alphabet = secrets.concat();
        alphabet.sort_unstable();
        alphabet.dedup();
        let finders = secrets
            .iter()
            .map(|secret| Finder::new(*secret).into_owned());
        Self {
            finders: finders.collect(),
            alphabet,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.finders.iter().map(Finder::needle)
    }

    /// The number of bytes of the longest secret; 0 if there is no secret.
    fn longest(&self) -> usize {
        self.iter().next().map_or(0, <[u8]>::len)
    }
}

// === impl ErrorHider ===

impl ErrorHider {
    fn new(secrets: Arc<OwnSecrets>) -> Self {
        Self {
            secrets,
            received: Vec::new(),
        }
    }

    /// Takes the next part of the error. Returns whether the error is too large.
    fn receive(&mut self, bytes: &[u8]) -> bool {
        self.received.extend_from_slice(bytes);
        self.received.len() > LARGEST_ERROR
    }

    /// Returns the error without the secrets.
    ///
    /// The function needs the complete error: a secret may be split between two parts of the response, and an error in
    /// JSON must be parsed as a whole.
    fn hidden(&mut self) -> Bytes {
        let mut error = std::mem::take(&mut self.received);
        if error.len() > LARGEST_ERROR {
            return Bytes::new();
        }
        if error.starts_with(PROTOBUF) {
            self.secrets.in_messages().overwrite(&mut error);
            return error.into();
        }
        match serde_json::from_slice(&error) {
            Ok(mut value) => {
                self.hide_in(&mut value);
                value.to_string().into()
            }
            Err(_) => {
                let text = String::from_utf8_lossy(&error);
                self.secrets.in_messages().message(text.trim_end()).into()
            }
        }
    }

    fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.secrets.in_messages().message(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_in(value)),
            Value::Object(fields) => {
                for (key, mut value) in std::mem::take(fields) {
                    self.hide_in(&mut value);
                    fields.insert(self.secrets.in_messages().message(&key), value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

// === impl ContentHider ===

impl ContentHider {
    fn new(secrets: Arc<OwnSecrets>) -> Self {
        Self {
            secrets,
            passed: Vec::new(),
            held: Vec::new(),
        }
    }

    fn secrets(&self) -> &LongSecrets {
        &self.secrets.in_content
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
            // The hider always holds bytes that contain an escape. Otherwise, it could pass on a part of the escape and
            // later replace the rest, and the JSON would be invalid.
            let has_escape = || memchr::memchr(b'\\', bytes.get(start..).unwrap_or_default());
            let is_long = bytes.len() - start >= START || has_escape().is_some();
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

    /// Returns the position in `bytes` at which an incomplete secret may begin. From this position on, all bytes are
    /// the first bytes of a secret. Returns `None` if there is no such position.
    fn start_at_end(&self, bytes: &[u8]) -> Option<usize> {
        let of = |secret: &[u8]| {
            let first = bytes.len().saturating_sub(secret.len().saturating_sub(1));
            let mut found = memchr::memchr_iter(*secret.first()?, bytes.get(first..)?);
            let is_start = |at: &usize| bytes.get(*at..).is_some_and(|end| secret.starts_with(end));
            found.find_map(|at| Some(first + at).filter(is_start))
        };
        let plain = self.secrets().iter().filter_map(of).min();
        let escaped = self.escaped_start_at_end(bytes);
        plain.into_iter().chain(escaped).min()
    }

    /// Does the same as [`start_at_end`](Self::start_at_end), but only for secrets that contain escapes.
    fn escaped_start_at_end(&self, bytes: &[u8]) -> Option<usize> {
        let longest = match self.secrets().longest() {
            0 => return None,
            longest => longest * ESCAPE,
        };
        let tail = bytes.len().saturating_sub(longest);
        let is_in_run = |byte: &u8| {
            *byte == b'\\' || *byte == b'u' || byte.is_ascii_hexdigit() || self.is_in_secret(*byte)
        };
        let all = bytes.get(tail..)?;
        let from = tail
            + all
                .iter()
                .rposition(|byte| !is_in_run(byte))
                .map_or(0, |at| at + 1);
        let escape = from + memchr::memchr(b'\\', bytes.get(from..)?)?;
        // A run ends before an escape whose character does not occur in secrets, such as an escaped quotation mark. The
        // loop then continues after this escape.
        let mut at = self.run_start(bytes, from, escape);
        loop {
            let run = self.run(bytes, at);
            let is_open = is_unfinished(bytes.get(run.end..).unwrap_or_default());
            if run.end == bytes.len() || is_open {
                let is_start = |from: &usize| {
                    let end = run.text.get(*from..).unwrap_or_default();
                    self.secrets().iter().any(|secret| secret.starts_with(end))
                };
                let first = (0..run.text.len()).find(is_start);
                let first = first.and_then(|first| Some(run.spans.get(first)?.0));
                return first.or(is_open.then_some(run.end));
            }
            at = run.end + json_escape(bytes.get(run.end..)?).map_or(1, |(_, length)| length);
            if at >= bytes.len() {
                return None;
            }
        }
    }

    fn is_in_secret(&self, byte: u8) -> bool {
        self.secrets().alphabet.binary_search(&byte).is_ok()
    }

    /// Returns the position at which a run that contains `escape` begins. All bytes between this position and `escape`
    /// occur in secrets. Their number is at most the length of the longest secret.
    fn run_start(&self, bytes: &[u8], from: usize, escape: usize) -> usize {
        let from = from.max(escape.saturating_sub(self.secrets().longest()));
        let before = bytes.get(from..escape).unwrap_or_default();
        let other = before.iter().rposition(|byte| !self.is_in_secret(*byte));
        from + other.map_or(0, |at| at + 1)
    }

    /// Returns the run that begins at position `from`.
    fn run(&self, bytes: &[u8], from: usize) -> Run {
        let mut run = Run {
            end: from,
            ..Run::default()
        };
        while let Some(rest @ [byte, ..]) = bytes.get(run.end..) {
            let mut buffer = [0; 4];
            let (text, length) = match byte {
                b'\\' => match json_escape(rest) {
                    Some((Some(character), length)) => {
                        (character.encode_utf8(&mut buffer).as_bytes(), length)
                    }
                    _ => break,
                },
                _ => (std::slice::from_ref(byte), 1),
            };
            if !text.iter().all(|byte| self.is_in_secret(*byte)) {
                break;
            }
            let span = (run.end, run.end + length);
            run.spans.extend(text.iter().map(|_| span));
            run.text.extend_from_slice(text);
            run.end += length;
        }
        run
    }

    /// Returns the positions of the secrets that contain escapes of JSON.
    fn escaped(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.secrets().finders.is_empty() {
            return found;
        }
        let mut at = 0;
        while let Some(next) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
            let escape = at + next;
            let length = json_escape(bytes.get(escape..).unwrap_or_default());
            let after = escape + length.map_or(1, |(_, length)| length);
            if self.run(bytes, escape).text.is_empty() {
                at = after;
                continue;
            }
            let run = self.run(bytes, self.run_start(bytes, at, escape));
            for secret in &self.secrets().finders {
                let positions = secret.find_iter(&run.text);
                found.extend(positions.filter_map(|first| {
                    let (start, _) = run.spans.get(first)?;
                    let (_, end) = run.spans.get(first + secret.needle().len() - 1)?;
                    Some(*start..*end)
                }));
            }
            at = run.end.max(after);
        }
        found
    }

    fn without_secrets(&self, bytes: Bytes) -> Bytes {
        let mut changed = None;
        for secret in &self.secrets().finders {
            for at in secret.find_iter(&bytes) {
                let copy = changed.get_or_insert_with(|| bytes.to_vec());
                overwrite(copy, at..at + secret.needle().len());
            }
        }
        for range in self.escaped(&bytes) {
            let copy = changed.get_or_insert_with(|| bytes.to_vec());
            overwrite(copy, range);
        }
        changed.map_or(bytes, Bytes::from)
    }
}

/// Whether a text is the first part of an escape whose rest has not arrived yet.
fn is_unfinished(text: &[u8]) -> bool {
    match text {
        [b'\\'] => true,
        // In JSON, some characters are written as two escapes (a surrogate pair). The function ignores the second
        // escape, because credentials contain no such characters.
        [b'\\', b'u', digits @ ..] => digits.len() < 4 && digits.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

// === impl HidingBody ===

impl<B> HidingBody<B> {
    /// Wraps the body of a response. `is_error` states whether the response has an error status.
    pub(super) fn new(body: B, secrets: Arc<OwnSecrets>, is_error: bool) -> Self {
        let hider = match is_error {
            true => Hider::Error(ErrorHider::new(Arc::clone(&secrets))),
            false => Hider::Content(ContentHider::new(Arc::clone(&secrets))),
        };
        Self {
            body,
            secrets,
            hider,
            has_ended: false,
        }
    }

    /// Returns the next part of the body.
    fn hide(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.hider {
            Hider::Error(hider) => {
                let is_too_large = hider.receive(&bytes);
                if is_too_large {
                    return self.end();
                }
                Bytes::new()
            }
            Hider::Content(hider) => hider.hide(bytes, false),
        }
    }

    /// Returns the last part of the body.
    fn end(&mut self) -> Bytes {
        self.has_ended = true;
        match &mut self.hider {
            Hider::Error(hider) => hider.hidden(),
            Hider::Content(hider) => hider.hide(Bytes::new(), true),
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for HidingBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if this.has_ended {
                return Poll::Ready(None);
            }
            let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
            // The body ends at the first trailers, because no client of the exporter reads trailers.
            let frame = frame.transpose();
            let frame = frame.map_err(|error| this.secrets.hide_in_error(error.into()))?;
            let data = match frame.map(Frame::into_data) {
                Some(Ok(data)) => this.hide(data),
                Some(Err(_)) | None => this.end(),
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }
}

#[cfg(test)]
mod tests;
