//! Damage: bits, bytes, words, lengths, and parts of other images.

use crate::bases::{Base, IO, TENSORS};
use std::ops::Range;
use tinfer::image::envelope::{self, PROTECTED_MAGIC, TLV_MAGIC, TLV_MANIFEST, TLV_SHA256};
use tinfer::image::{manifest, port, tensors};

/// Random numbers: SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..n, 0 when n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A damaged body in an envelope that is right.
pub fn resealed(base: &Base, others: &[Base], random: &mut Random) -> Vec<u8> {
    let mut body = base.body.clone();
    if random.below(2) == 0 {
        // Room for damage that needs more memory or work than the image: `arena_bytes` and `work` of the header.
        body[12..16].copy_from_slice(&(base.arena_bytes as u32 + 4096).to_le_bytes());
        body[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    }
    for _ in 0..1 + random.below(3) / 2 {
        damage_body(&mut body, base, others, random);
    }
    let mut manifest = base.manifest.clone();
    if random.below(20) == 0 {
        let all = 0..manifest.len();
        damage(&mut manifest, &all, random);
    }
    seal(&body, &manifest, base.version)
}

/// A body and a manifest in an envelope with their sizes and digest.
pub fn seal(body: &[u8], manifest: &[u8], version: [u16; 3]) -> Vec<u8> {
    let mut image = envelope::emit_header(body.len() as u32, version).to_vec();
    image.extend_from_slice(body);
    image.extend(envelope::emit_tlv_head(PROTECTED_MAGIC, TLV_MANIFEST, manifest::SIZE as u16));
    image.extend_from_slice(manifest);
    let digest = envelope::digest(&image);
    image.extend(envelope::emit_tlv_head(TLV_MAGIC, TLV_SHA256, digest.len() as u16));
    image.extend(digest);
    image
}

/// An image damaged after it was sealed.
pub fn damaged(base: &Base, random: &mut Random) -> Vec<u8> {
    let mut image = base.bytes.to_vec();
    let body_end = envelope::HEADER_SIZE + base.body.len();
    let part = random.pick(&[(0, envelope::HEADER_SIZE), (envelope::HEADER_SIZE, body_end), (body_end, image.len())]);
    if random.below(6) == 0 {
        image.truncate(random.below(image.len()));
    } else {
        damage(&mut image, &(part.0..part.1), random);
    }
    image
}

fn damage_body(body: &mut Vec<u8>, base: &Base, others: &[Base], random: &mut Random) {
    // Header and section table, PLAN, TENSORS, WEIGHTS, IO, DOC in hundredths.
    let mut part = random.below(100);
    let mut kind = 0;
    for (i, share) in [8, 44, 28, 6, 10, 4].into_iter().enumerate() {
        if part < share {
            kind = i;
            break;
        }
        part -= share;
    }
    match random.below(20) {
        0 => body.truncate(random.below(body.len())),
        1..=3 => splice(body, base, &others[random.below(others.len())], kind, random),
        4..=6 => swap_records(body, base, random),
        _ => damage(body, &base.parts[kind], random),
    }
}

/// Bits, bytes and words inside `range`.
fn damage(bytes: &mut [u8], range: &Range<usize>, random: &mut Random) {
    let range = range.start.min(bytes.len())..range.end.min(bytes.len());
    if range.is_empty() {
        return;
    }
    let at = |random: &mut Random, size: usize| (range.start + random.below(range.len())) / size * size;
    match random.below(4) {
        0 => {
            for _ in 0..1 + random.below(8) {
                bytes[at(random, 1)] ^= 1 << random.below(8);
            }
        }
        1 => {
            for _ in 0..1 + random.below(3) {
                bytes[at(random, 1)] = random.pick(&[0, 0xff, 0x7f, 0x80]);
            }
        }
        2 => {
            let at = at(random, 4);
            if let Some(word) = bytes[at..].first_chunk_mut::<4>() {
                *word = extreme(u32::from_le_bytes(*word), random).to_le_bytes();
            }
        }
        _ => {
            let at = at(random, 2);
            if let Some(word) = bytes[at..].first_chunk_mut::<2>() {
                *word = (extreme(u16::from_le_bytes(*word).into(), random) as u16).to_le_bytes();
            }
        }
    }
}

/// A value that arithmetic and comparisons may get wrong, or one beside `value`.
fn extreme(value: u32, random: &mut Random) -> u32 {
    match random.below(4) {
        0 => random.pick(&[
            0,
            1,
            0x7f,
            0x80,
            0xff,
            0x7fff,
            0x8000,
            0xffff,
            1 << 28,
            i32::MAX as u32,
            1 << 31,
            u32::MAX - 15,
            u32::MAX,
        ]),
        1 => value.wrapping_add(random.below(65) as u32).wrapping_sub(32),
        2 => random.below(10) as u32,
        _ => random.pick(&[
            value.wrapping_mul(2),
            value / 2,
            value.wrapping_neg(),
            value.wrapping_add(16),
            value.wrapping_sub(16),
        ]),
    }
}

/// Puts a range of the same part of another image over this one.
fn splice(body: &mut [u8], base: &Base, other: &Base, part: usize, random: &mut Random) {
    let source = &other.body[other.parts[part].clone()];
    let target = base.parts[part].start.min(body.len())..base.parts[part].end.min(body.len());
    if source.is_empty() || target.is_empty() {
        return;
    }
    let from = random.below(source.len()) / 4 * 4;
    let to = random.below(target.len()) / 4 * 4;
    let length = (4 + random.below(96) / 4 * 4).min(source.len() - from).min(target.len() - to);
    body[target.start + to..][..length].copy_from_slice(&source[from..from + length]);
}

/// Exchanges two steps, tensors, ports or tensor indices.
fn swap_records(body: &mut Vec<u8>, base: &Base, random: &mut Random) {
    if body.len() != base.body.len() {
        return;
    }
    let fixed = |part: usize, size: usize, random: &mut Random| {
        let part = &base.parts[part];
        let mut at = || part.start + random.below(part.len() / size) * size;
        let (a, b) = (at(), at());
        (a..a + size, b..b + size)
    };
    let (a, b) = match random.below(4) {
        0 => fixed(TENSORS, tensors::SIZE, random),
        1 => fixed(IO, port::SIZE, random),
        2 => {
            let mut step = || base.steps[random.below(base.steps.len())].clone();
            (step(), step())
        }
        _ => {
            let step = base.steps[random.below(base.steps.len())].clone();
            let mut index = || step.start + 16 + 2 * random.below(usize::from(base.body[step.start + 2]) + 1);
            let (a, b) = (index(), index());
            (a..a + 2, b..b + 2)
        }
    };
    let (first, second) = if a.start <= b.start { (a, b) } else { (b, a) };
    if first.end <= second.start {
        let swapped = [
            &body[..first.start],
            &body[second.clone()],
            &body[first.end..second.start],
            &body[first.clone()],
            &body[second.end..],
        ]
        .concat();
        *body = swapped;
    }
}
