//! Rewrites a message: puts its fields into a random order, and splits them into pieces.
//!
//! A decoder must read the result like the original message. A record is one encoded field.

use super::model::Random;
use crate::canonical::{put_bytes, put_number};
use crate::schema::{Message, Presence, Type};
use crate::wire::{Payload, Records};

pub(super) fn mixed(message: &'static Message, bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut groups: Vec<(u32, Vec<Vec<u8>>)> = Vec::new();
    let mut records = Records::new(bytes);
    while let Some(record) = records.next().unwrap() {
        let field = message
            .fields
            .iter()
            .find(|field| field.number == record.number)
            .unwrap();
        let mut parts = Vec::new();
        let mut put = |payload: &[u8]| {
            let mut part = Vec::new();
            put_bytes(record.number, payload, &mut part);
            parts.push(part);
        };
        match (record.payload, field.content) {
            (Payload::Bytes(payload), Type::Message(below)) if field.presence != Presence::Map => {
                let payload = mixed(below, payload, random);
                let half = half(&payload, random);
                if field.presence == Presence::List {
                    put(&payload);
                } else {
                    put(&payload[..half]);
                    put(&payload[half..]);
                }
            }
            (Payload::Bytes(payload), _) => put(payload),
            (Payload::Varint(number), _) => {
                let mut part = Vec::new();
                put_number(record.number, number, &mut part);
                parts.push(part);
            }
            (Payload::Fixed, _) => unreachable!("no field has this wire type"),
        }
        match groups
            .iter_mut()
            .find(|(number, _)| *number == record.number)
        {
            Some((_, group)) => group.append(&mut parts),
            None => groups.push((record.number, parts)),
        }
    }
    // The pieces of one field keep their order. The pieces of different fields are mixed.
    let mut out = Vec::new();
    while !groups.is_empty() {
        let at = random.below(groups.len() as u64) as usize;
        let (_, parts) = &mut groups[at];
        out.append(&mut parts.remove(0));
        if parts.is_empty() {
            groups.swap_remove(at);
        }
    }
    out
}

/// Returns a random position in a message: between two records, at the start or at the end.
fn half(message: &[u8], random: &mut Random) -> usize {
    let (mut records, mut ends) = (Records::new(message), vec![0]);
    while records.next().unwrap().is_some() {
        ends.push(message.len() - records.rest().len());
    }
    ends[random.below(ends.len() as u64) as usize]
}
