//! Damaged images are refused or run inside their arena: no panic, no hang, no byte outside.
//!
//! A failing case prints its seed; `TINFER_CASE=<seed> cargo test --release -p tinfer-tests --test images_corrupt`
//! repeats it alone.

mod bases;
mod moves;
mod mutate;
mod reductions;

use bases::{Base, TENSORS, bases};
use mutate::{Random, damaged, resealed, seal};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tinfer::image::doc::Key;
use tinfer::image::{Image, Placement, envelope, tensors};
use tinfer::operators::{self, InPlace, StepOperands};
use tinfer::preprocess::{Picture, PixelFormat, PixelOrder};
use tinfer::session::Session;
use tinfer::{BindError, LoadError, RunError};
use tinfer_compiler::aligned::AlignedBytes;

const N_CASES: u64 = 100_000;

/// Cases that need more than this many times the work of an undamaged image are bound and not run.
const MAX_WORK: u64 = 20;

/// Pattern before and behind the arena.
const GUARD_BYTES: usize = 1024;

/// How far the cases got.
#[derive(Default, Debug)]
struct Tally {
    /// `Image::check` accepted them.
    accepted: u64,
    /// They would need more memory than the test gives.
    too_large: u64,
    /// `Session::bind` accepted them.
    bound: u64,
    /// They were bound and would work for too long.
    too_long: u64,
    /// A step ended the run because of a value.
    found_out: u64,
    ran: u64,
    /// By base.
    ran_by_base: Vec<u64>,
    /// Rules that refused a case.
    rules: BTreeSet<&'static str>,
}

/// Memory around an arena that is compared after each run.
struct Guarded {
    buffer: AlignedBytes,
}

impl Guarded {
    fn new(capacity: usize) -> Self {
        let mut buffer = AlignedBytes::zeroed(capacity + 2 * GUARD_BYTES);
        buffer.iter_mut().enumerate().for_each(|(i, b)| *b = pattern(i));
        Guarded { buffer }
    }

    fn capacity(&self) -> usize {
        self.buffer.len() - 2 * GUARD_BYTES
    }

    /// An arena of `need` bytes with `spare` bytes behind that a session must leave alone.
    fn arena(&mut self, need: usize, spare: usize) -> &mut [u8] {
        &mut self.buffer[GUARD_BYTES..][..need + spare]
    }

    /// Compares what lies around an arena of `need` bytes, then makes all as it was.
    fn check(&mut self, need: usize) {
        let end = GUARD_BYTES + need;
        for i in (0..GUARD_BYTES).chain(end..(end + GUARD_BYTES).min(self.buffer.len())) {
            assert_eq!(self.buffer[i], pattern(i), "byte {i} is written, the arena is {GUARD_BYTES}..{end}");
        }
        for (i, byte) in self.buffer[..end].iter_mut().enumerate() {
            *byte = pattern(i);
        }
    }
}

fn pattern(i: usize) -> u8 {
    (i as u8).wrapping_mul(167) ^ 0xa5
}

/// One damaged image through reader, bind and run.
fn case(seed: u64, bases: &[Base], memory: &mut Guarded, tally: &mut Tally) {
    let mut random = Random(seed);
    // The large one is in for its depth, and slow to hash.
    let (last, small) = (bases.len() - 1, bases.len() - 1);
    let index = if random.below(200) == 0 { last } else { random.below(small) };
    let base = &bases[index];
    let sealed = random.below(4) != 0;
    let mut bytes = if sealed { resealed(base, bases, &mut random) } else { damaged(base, &mut random) };
    let image_bytes = bytes.len();
    if random.below(4) == 0 {
        bytes.resize(image_bytes + random.below(64), 0xff);
    }
    let intact = !sealed && bytes.starts_with(&base.bytes);
    let bytes = AlignedBytes::from_slice(&bytes);
    let image = match Image::check(&bytes) {
        Ok(image) => image,
        Err(error) => {
            assert!(!intact, "an undamaged image is refused: {error}");
            black_box(error.to_string());
            if let LoadError::Record { rule, .. } | LoadError::Envelope { rule } = error {
                tally.rules.insert(rule);
            }
            return;
        }
    };
    assert!(sealed || intact, "an image damaged after it was sealed is accepted");
    tally.accepted += 1;
    read_all(&image);
    bind_and_run(&image, base, index, memory, &mut random, tally);
}

/// Everything that a host reads of an accepted image.
fn read_all(image: &Image<'_>) {
    for key in [Key::Licence, Key::OnnxDigest, Key::Layers, Key::Labels] {
        black_box(image.doc(key));
    }
    black_box((image.manifest().name(), image.manifest().target()));
    for port in image.inputs().chain(image.outputs()) {
        let tensor = image.tensor(port.tensor).unwrap();
        assert_eq!(port.dims().iter().map(|&d| d as usize).product::<usize>(), tensor.shape.n_elements());
        assert_eq!(port.permutation().len(), port.dims().len());
    }
    assert_eq!(image.steps().count(), image.n_steps());
}

fn bind_and_run(
    image: &Image<'_>,
    base: &Base,
    index: usize,
    memory: &mut Guarded,
    random: &mut Random,
    tally: &mut Tally,
) {
    let need = image.arena_bytes();
    if need > memory.capacity() {
        tally.too_large += 1;
        let have_bytes = memory.capacity() as u32;
        let refused = Session::bind(image, memory.arena(have_bytes as usize, 0), operators::ALL).err();
        assert_eq!(refused, Some(BindError::ArenaTooSmall { need_bytes: need as u32, have_bytes }));
        return;
    }
    let spare = random.below(64);
    let arena = memory.arena(need, spare);
    random.fill(&mut arena[..need]);
    let mut session = match Session::bind(image, arena, operators::ALL) {
        Ok(session) => session,
        Err(error) => {
            black_box(error.to_string());
            if let BindError::Step { rule, .. } = error {
                tally.rules.insert(rule);
            }
            return memory.check(need);
        }
    };
    tally.bound += 1;
    let work = operators::work(image, operators::ALL).unwrap();
    assert!(work <= image.header().work);
    if work > MAX_WORK * base.work {
        tally.too_long += 1;
        return memory.check(need);
    }
    for (i, port) in image.inputs().enumerate() {
        random.fill(session.input(i).unwrap());
        if let Some(preprocess) = port.preprocess {
            let pixels = [7, 80, 255, 0, 1, 200, 50, 60, 70, 90, 110, 130, 3, 5, 9, 11, 250, 30];
            let picture = Picture::new(3, 2, PixelFormat::Rgb, &pixels).unwrap();
            let quantization = image.tensor(port.tensor).unwrap().quantization;
            let order = random.pick(&[PixelOrder::Interleaved, PixelOrder::Planar]);
            if preprocess.n_values() < 1 << 16 {
                let mut values = vec![0i8; preprocess.n_values()];
                black_box(preprocess.fill_i8(&picture, order, quantization, &mut values));
            }
        }
    }
    // What was bound must run, unless a step finds out from its operands' values: otherwise `RunError::Inconsistent` means
    // that a check at bind is missing.
    match session.run() {
        Ok(()) => {}
        Err(RunError::Inconsistent { step }) if finds_out(image, step) => {
            tally.found_out += 1;
            return memory.check(need);
        }
        Err(error) => panic!("{error}"),
    }
    for i in 0..image.outputs().count() {
        black_box(session.output(i).unwrap());
    }
    tally.ran += 1;
    tally.ran_by_base[index] += 1;
    memory.check(need);
}

/// Whether the step's operator has operands (indices, bounds, shapes) whose values may make no sense.
fn finds_out(image: &Image<'_>, step: u32) -> bool {
    let code = image.steps().nth(step as usize).map(|s| s.code);
    let operator = operators::ALL.iter().find(|o| Some(o.code) == code);
    operator.is_some_and(|o| BY_VALUES.iter().any(|name| o.name.starts_with(name)))
}

/// First letters of operators that read such operands.
const BY_VALUES: &[&str] = &[
    "require",
    "shape_given",
    "slice_",
    "pad_b",
    "gather_",
    "resize_",
    "reduce_",
    "cumulative_sum",
    "non_max_suppression",
    "trilu_",
];

/// Ends the process when a case takes longer than 10 s, and says which.
struct Watchdog {
    seed: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Watchdog {
    fn start() -> Self {
        let (seed, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (watched, stop) = (seed.clone(), done.clone());
        std::thread::spawn(move || {
            let mut last = (u64::MAX, Instant::now());
            while !stop.load(SeqCst) {
                let seed = watched.load(SeqCst);
                if seed != last.0 {
                    last = (seed, Instant::now());
                } else if last.1.elapsed() > Duration::from_secs(10) {
                    eprintln!("case {seed} runs for more than 10 s");
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Watchdog { seed, done }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.store(true, SeqCst);
    }
}

#[test]
fn no_damage_leaves_the_arena() {
    let bases = bases();
    let start = Instant::now();
    let capacity = 2 * bases.iter().map(|b| b.arena_bytes).max().unwrap_or(0);
    let mut memory = Guarded::new(capacity);
    let mut tally = Tally { ran_by_base: vec![0; bases.len()], ..Tally::default() };
    let watchdog = Watchdog::start();
    let only = std::env::var("TINFER_CASE").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in only.map_or(0..N_CASES, |seed| seed..seed + 1) {
        watchdog.seed.store(seed, SeqCst);
        if catch_unwind(AssertUnwindSafe(|| case(seed, &bases, &mut memory, &mut tally))).is_err() {
            panic!("case {seed} failed");
        }
    }
    println!("{} rules refused something: {:#?}", tally.rules.len(), tally.rules);
    let Tally { accepted, too_large, bound, too_long, found_out, ran, .. } = tally;
    println!(
        "{N_CASES} damaged images in {:.1} s: {accepted} accepted, {too_large} of them with an arena too large for",
        start.elapsed().as_secs_f32()
    );
    println!("the test, {bound} bound, {too_long} of them too long to run, {found_out} ended by a value, {ran} ran");
    for (base, n) in bases.iter().zip(&tally.ran_by_base) {
        println!("  {n:6} ran: {} ({} bytes, {} work units)", base.name, base.bytes.len(), base.work);
    }
    if only.is_none() {
        assert!(accepted > N_CASES / 5 && bound > N_CASES / 10 && ran > N_CASES / 10, "{tally:?}");
        assert!(tally.ran_by_base.iter().all(|&n| n > 30), "{tally:?}");
        assert!(tally.rules.len() > 40, "{tally:?}");
    }
}

#[test]
fn the_bases_use_every_operator() {
    let used: BTreeSet<u16> = bases().iter().flat_map(|b| b.codes.clone()).collect();
    let missing: Vec<&str> = operators::ALL.iter().filter(|o| !used.contains(&o.code)).map(|o| o.name).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_flipped_bit_of_a_sealed_image_is_refused() {
    let bases = bases();
    let base = bases.iter().min_by_key(|b| b.bytes.len()).unwrap();
    let mut bytes = base.bytes.clone();
    let mut by_digest = 0;
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        match Image::check(&bytes) {
            Ok(_) => panic!("bit {bit} of {} can be flipped", bytes.len() * 8),
            Err(LoadError::Digest) => by_digest += 1,
            Err(_) => {}
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // Whatever the structure of the envelope does not pin is found by the digest: body, manifest, and itself.
    assert!(by_digest >= 8 * (base.body.len() + base.manifest.len() + 32));
    assert!(by_digest < 8 * (bytes.len() - envelope::HEADER_SIZE));
    assert!(Image::check(&bytes).is_ok());
}

#[test]
fn an_arena_is_large_enough_or_refused() {
    for base in bases() {
        let image = Image::check(&base.bytes).unwrap();
        let need = base.arena_bytes;
        let mut memory = AlignedBytes::zeroed(need + 16);
        let mut bind = |from: usize, length: usize| -> Result<(), BindError> {
            let mut session = Session::bind(&image, &mut memory[from..from + length], operators::ALL)?;
            for i in 0..image.inputs().count() {
                session.input(i).unwrap().fill(0);
            }
            session.run().unwrap();
            Ok(())
        };
        assert_eq!(bind(0, need), Ok(()), "{}", base.name);
        let error = bind(0, need - 1).unwrap_err();
        assert_eq!(error, BindError::ArenaTooSmall { need_bytes: need as u32, have_bytes: need as u32 - 1 });
        assert_eq!(error.to_string(), format!("arena too small: need {need} bytes, have {}", need - 1));
        for offset in [1, 4, 8, 15] {
            assert_eq!(bind(offset, need), Err(BindError::ArenaMisaligned), "{}", base.name);
        }
        assert_eq!(BindError::ArenaMisaligned.to_string(), "arena does not start at a 16-byte boundary");
    }
}

/// An image that moves a step's output up to its input, closer than the kernel's lead, is well formed and not bound.
#[test]
fn outputs_closer_to_their_input_than_the_lead_are_refused() {
    let mut n_refused = 0;
    for base in bases() {
        let image = Image::check(&base.bytes).unwrap();
        for step in image.steps() {
            let operator = operators::ALL.iter().find(|o| o.code == step.code).unwrap();
            let (Some(x), Some(y), InPlace::Lead(lead)) = (step.input(0), step.output(0), operator.in_place) else {
                continue;
            };
            let (input, output) = (image.tensor(x).unwrap(), image.tensor(y).unwrap());
            let (Placement::Arena(input_at), Placement::Arena(_)) = (input.placement, output.placement) else {
                continue;
            };
            let lead = lead(&StepOperands::new(&image, &step)).unwrap();
            // The last place that is too close; a larger one than the output would be apart.
            let too_close = (i64::from(input_at) - i64::from(lead) + 1 + 15) / 16 * 16;
            let moved_up = too_close.max(0) as usize;
            if moved_up as i64 > i64::from(input_at) || moved_up + output.n_bytes() <= input_at as usize {
                continue;
            }
            let mut body = base.body.clone();
            let record = base.parts[TENSORS].start + usize::from(y) * tensors::SIZE;
            body[record + 4..record + 8].copy_from_slice(&(moved_up as u32).to_le_bytes());
            let arena_bytes = base.arena_bytes.max(moved_up + output.n_bytes()).next_multiple_of(16);
            body[12..16].copy_from_slice(&(arena_bytes as u32).to_le_bytes());
            let hostile = AlignedBytes::from_slice(&seal(&body, &base.manifest, base.version));
            let Ok(hostile) = Image::check(&hostile) else { continue };
            let mut arena = AlignedBytes::zeroed(arena_bytes);
            let error = Session::bind(&hostile, &mut arena, operators::ALL).err().map(|e| e.to_string());
            // Another step of the same tensor, or this one's scratch, may be the first to object.
            let error = error.unwrap_or_else(|| panic!("{}: step {} bound", base.name, step.index));
            assert!(error.contains("overlap"), "{}: {error}", base.name);
            n_refused += usize::from(error.contains("an output overlaps an input"));
        }
    }
    assert!(n_refused >= 8, "only {n_refused} steps were refused for their lead");
}
