//! The marker (a text in the objects of the tests), and the search for the marker in the memory of the process.

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;

/// Size of the marker in bytes. This size is a multiple of three, so that the base64 form of the marker is independent
/// of the bytes before and after it.
const LENGTH: usize = 24;

/// The number of bytes that the search reads in one step.
const PIECE: usize = 1 << 20;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The forms in which the marker can be in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    Plain,
    /// As base64, in the values of `data`.
    Base64,
}

/// Returns a letter of the marker.
///
/// The marker is computed whenever it is needed. If the marker were stored, the search would find the stored marker.
fn letter(at: usize) -> u8 {
    let seed: u64 = black_box(0x9e37_79b9_7f4a_7c15);
    let mut bits = seed.wrapping_mul(at as u64 + 1);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    b'a' + ((bits >> 40) % 26) as u8
}

/// The marker as plain text.
pub(crate) fn plain() -> String {
    Form::Plain.text()
}

/// The marker as a value of `data`.
pub(crate) fn base64() -> String {
    Form::Base64.text()
}

// === impl Form ===

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Base64];

    fn text(self) -> String {
        (0..self.len())
            .map(|at| char::from(self.byte(at)))
            .collect()
    }

    fn len(self) -> usize {
        match self {
            Self::Plain => LENGTH,
            Self::Base64 => LENGTH / 3 * 4,
        }
    }

    fn byte(self, at: usize) -> u8 {
        match self {
            Self::Plain => letter(at),
            Self::Base64 => {
                let group = (0..3).map(|of| letter(at / 4 * 3 + of));
                let bits = group.fold(0_usize, |bits, letter| bits << 8 | usize::from(letter));
                BASE64[bits >> (18 - 6 * (at % 4)) & 63]
            }
        }
    }

    /// Whether `bytes` contain this form of the marker.
    pub(crate) fn is_in(self, bytes: &[u8]) -> bool {
        memchr::memchr_iter(self.byte(0), bytes).any(|start| {
            let rest = bytes.get(start..start + self.len());
            rest.is_some_and(|rest| (0..).zip(rest).all(|(at, byte)| *byte == self.byte(at)))
        })
    }
}

/// Overwrites the unused part of the stack. This part may still contain data of functions that have returned.
///
/// This is needed mainly in builds without optimization, which keep more values on the stack.
#[inline(never)]
pub(crate) fn clear_stack() {
    let mut room = [0_u8; 1 << 19];
    black_box(&mut room);
}

/// Searches all readable memory for the marker. Returns each form of the marker that occurs, with the name of the
/// memory area.
pub(crate) fn search() -> Vec<(Form, String)> {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut piece = vec![0; PIECE + LENGTH * 2];
    let (mut found, mut names) = (Vec::new(), Vec::new());
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let mut fields = line.split_ascii_whitespace();
        let range = fields
            .next()
            .and_then(|range| range.split_once('-'))
            .unwrap();
        let [start, end] = [range.0, range.1].map(|at| u64::from_str_radix(at, 16).unwrap());
        let readable = fields.next().unwrap().starts_with('r');
        let name = fields.nth(3).unwrap_or("anonymous memory");
        if !readable || name.starts_with("[v") {
            continue;
        }
        names.push(name.to_owned());
        for from in (start..end).step_by(PIECE) {
            // The pieces overlap, so that the search also finds a marker at the border of two pieces.
            let wanted = piece.len().min(usize::try_from(end - from).unwrap());
            let piece = &mut piece[..wanted];
            if memory.read_exact_at(piece, from).is_err() {
                continue;
            }
            let forms = Form::ALL.into_iter().filter(|form| form.is_in(piece));
            found.extend(forms.map(|form| (form, name.to_owned())));
        }
    }
    for name in ["[heap]", "[stack]", "anonymous memory"] {
        assert!(
            names.iter().any(|own| own == name),
            "{name} is missing in {names:?}"
        );
    }
    found
}
