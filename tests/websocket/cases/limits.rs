//! Group 9: messages up to 16 MiB, in fragments and pieces of all sizes, and many messages in a row.

use hydrant::proto::websocket::Side;

use super::{BINARY, CONTINUES, LAST, Played, Reply, TEXT, binary, check_pieces, raw, shown, text};
use crate::echo::echo;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What a connection may bring at once.
const PIECE: usize = 64 * KIB;

/// A group's number, the opcode of its messages, and what they are answered with.
type Sort = (String, u8, fn(&[u8]) -> Reply);

/// A group for texts and one for bytes, which is the next.
fn kinds(group: u8) -> [Sort; 2] {
    let next = format!("9.{}", group + 1);
    [(format!("9.{group}"), TEXT, text), (next, BINARY, binary)]
}

fn all_of(side: Side) {
    let mut played = Played::default();
    let all: Vec<u8> = (0..16 * MIB as u32)
        .map(|n| b' ' + (n % 90) as u8)
        .collect();
    for (group, kind, reply) in kinds(1) {
        let lens = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
        for (number, len) in (1..).zip(lens) {
            let case = format!("{group}.{number}");
            let bytes = raw(side, LAST | kind, &all[..len]);
            check_pieces(&case, side, &bytes, PIECE, &[reply(&all[..len])]);
            played.note(&case);
        }
    }
    let payload = &all[..4 * MIB];
    for (group, kind, reply) in kinds(3) {
        for number in 1..=9 {
            let case = format!("{group}.{number}");
            let size = 64 << (2 * (number - 1));
            let frames = payload.chunks(size).enumerate().map(|(nth, piece)| {
                let opcode = if nth == 0 { kind } else { CONTINUES };
                let is_last = (nth + 1) * size >= payload.len();
                let last = if is_last { LAST } else { 0 };
                raw(side, last | opcode, piece)
            });
            let frames: Vec<Vec<u8>> = frames.collect();
            let answered = echo(side, frames.iter().map(|frame| &frame[..]));
            assert!(answered == [reply(payload)], "{case}: {}", shown(&answered));
            played.note(&case);
        }
    }
    let payload = &all[..MIB];
    for (group, kind, reply) in kinds(5) {
        let bytes = raw(side, LAST | kind, payload);
        for number in 1..=6 {
            let case = format!("{group}.{number}");
            check_pieces(&case, side, &bytes, 32 << number, &[reply(payload)]);
            played.note(&case);
        }
    }
    for (group, kind, reply) in kinds(7) {
        for (number, len) in (1..).zip([0, 16, 64, 256, 1024, 4096]) {
            let case = format!("{group}.{number}");
            let frame = raw(side, LAST | kind, &all[..len]);
            let answered = echo(side, std::iter::repeat_n(&frame[..], 1000));
            assert!(answered == vec![reply(&all[..len]); 1000], "{case}");
            played.note(&case);
        }
    }
    let counts = [6, 6, 9, 9, 6, 6, 6, 6];
    let groups: Vec<String> = (1..=8).map(|group| format!("9.{group}")).collect();
    let groups: Vec<(&str, usize)> = groups.iter().map(String::as_str).zip(counts).collect();
    played.are(&groups);
}

#[test]
fn group_9_long_messages_to_a_server() {
    all_of(Side::Server);
}

#[test]
fn group_9_long_messages_to_a_client() {
    all_of(Side::Client);
}
