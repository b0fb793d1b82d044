//! What a receiver makes of a link: whole, damaged, joined in the middle, or pure noise.

use tinfer_protocol::{
    Counter, DecodeError, ErrorCode, FRAME_BYTES, FrameBuffer, Hello, LogLevel, MAX_CHUNK_BYTES, ModelInfo,
    PROTOCOL_VERSION, Reply, Request, TensorInfo, decode, encode,
};

fn requests(bytes: &[u8]) -> Vec<Request<'_>> {
    vec![
        Request::Hello,
        Request::ModelInfo,
        Request::SetInput { index: 1, offset: 70_000, bytes },
        Request::Run { taps: false },
        Request::Run { taps: true },
        Request::ReadOutput { index: 0, offset: 12, length: u32::MAX },
        Request::SetLogLevel(LogLevel::Verbose),
    ]
}

fn replies(bytes: &[u8]) -> Vec<Reply<'_>> {
    let tensor = |name, bytes| TensorInfo { name, bytes };
    vec![
        Reply::Hello(Hello {
            protocol_version: PROTOCOL_VERSION,
            board: "mps2-an386",
            isa: "armv7em",
            firmware_version: "0.1.0",
            counter: Counter::Instructions,
        }),
        Reply::ModelInfo(ModelInfo {
            name: "kws",
            arena_bytes: 8_000,
            n_steps: 12,
            inputs: [tensor("spectrogram", 490)].into_iter().collect(),
            outputs: [tensor("scores", 12), tensor("embedding", 64)].into_iter().collect(),
            digest: bytes.get(..32).unwrap_or(bytes),
        }),
        Reply::Accepted,
        Reply::StepDone { index: 3, digest: u64::MAX, instructions: 1 << 40 },
        Reply::Done { instructions: 7_701_234, stack_high_water_bytes: 1_516, run_stack_bytes: 1_100 },
        Reply::OutputBytes { index: 0, offset: 0, bytes },
        Reply::Error { code: ErrorCode::ImageRefused, text: "arena too small: need 41984 bytes, have 32768" },
    ]
}

/// The payloads that stress the framing: empty, all zeros, no zero at all, every value, a full chunk.
fn payloads() -> Vec<Vec<u8>> {
    vec![vec![], vec![0; 300], vec![255; 300], (0..=255).collect(), vec![0x5a; MAX_CHUNK_BYTES]]
}

fn frames_in(receiver: &mut FrameBuffer, bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.iter().filter_map(|&byte| receiver.push(byte).map(|frame| frame.to_vec())).collect()
}

fn encoded(sequence: u8, request: &Request) -> Vec<u8> {
    encode(sequence, request, &mut [0; FRAME_BYTES]).expect("fits").to_vec()
}

#[test]
fn every_message_survives_the_link() {
    for payload in payloads() {
        let mut receiver = FrameBuffer::new();
        for (sequence, request) in (250..=255).chain(0..).zip(requests(&payload)) {
            let mut frames = frames_in(&mut receiver, &encoded(sequence, &request));
            assert_eq!(frames.len(), 1);
            assert_eq!(decode::<Request>(&mut frames[0]), Ok((sequence, request)));
        }
        for reply in replies(&payload) {
            let mut buffer = [0; FRAME_BYTES];
            let mut frames = frames_in(&mut receiver, encode(9, &reply, &mut buffer).expect("fits"));
            assert_eq!(frames.len(), 1);
            assert_eq!(decode::<Reply>(&mut frames[0]), Ok((9, reply)));
        }
    }
}

/// Peers of different ages rely on these numbers: a failure here means that a variant was moved.
#[test]
fn message_numbers_never_change() {
    let numbers: Vec<u8> = requests(&[]).iter().map(|request| encoded(1, request)[3]).collect();
    // Byte 0 is the COBS code, 1 the version, 2 the sequence; a zero in third place shows as the next COBS code.
    assert_eq!(numbers[1..], [1, 2, 3, 3, 4, 5]);
    let mut buffer = [0; FRAME_BYTES];
    let numbers: Vec<u8> = replies(&[1]).iter().map(|reply| encode(1, reply, &mut buffer).expect("fits")[3]).collect();
    assert_eq!(numbers[1..], [1, 2, 3, 4, 5, 6]);
}

#[test]
fn no_flipped_bit_yields_a_message() {
    let request = Request::SetInput { index: 0, offset: 5, bytes: &[1, 0, 2, 0, 0, 3] };
    let sent = encoded(42, &request);
    for bit in 0..sent.len() * 8 {
        let mut damaged = sent.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        for mut frame in frames_in(&mut FrameBuffer::new(), &damaged) {
            assert!(decode::<Request>(&mut frame).is_err(), "bit {bit} went unnoticed");
        }
    }
}

#[test]
fn a_receiver_is_in_step_again_after_one_zero() {
    let whole = encoded(1, &Request::ModelInfo);
    let cases: [(&str, Vec<u8>); 5] = [
        ("tail of a frame", encoded(0, &Request::Run { taps: true })[3..].to_vec()),
        ("zeros", vec![0; 10]),
        ("noise", vec![0xa5, 0x01, 0xff, 0]),
        ("overlong frame", [vec![7; FRAME_BYTES + 100], vec![0]].concat()),
        ("frame that loses a byte", {
            let mut bytes = encoded(0, &Request::Run { taps: true });
            bytes.remove(2);
            bytes
        }),
    ];
    for (name, before) in cases {
        let mut receiver = FrameBuffer::new();
        let mut frames = frames_in(&mut receiver, &[before, whole.clone()].concat());
        let last = frames.last_mut().unwrap_or_else(|| panic!("no frame after: {name}"));
        assert_eq!(decode::<Request>(last), Ok((1, Request::ModelInfo)), "after: {name}");
    }
}

#[test]
fn noise_never_panics_and_never_passes() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    let mut receiver = FrameBuffer::new();
    for _ in 0..2_000_000 {
        // More zeros than chance gives, so that short frames are common.
        let byte = noise();
        if let Some(frame) = receiver.push(if byte < 16 { 0 } else { byte }) {
            assert!(decode::<Reply>(&mut frame.to_vec()).is_err());
            assert!(decode::<Request>(frame).is_err());
        }
    }
}

/// Frames whose checksum holds and whose content is arbitrary: what a buggy or newer peer sends.
#[test]
fn intact_frames_with_any_content_never_panic() {
    let mut state = 1u32;
    for length in 0..200 {
        for _ in 0..50 {
            let content: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8 % if state & 4 == 0 { 8 } else { 255 }
                })
                .collect();
            let _ = decode::<Request>(&mut framed(PROTOCOL_VERSION, 3, &content));
            let _ = decode::<Reply>(&mut framed(PROTOCOL_VERSION, 3, &content));
        }
    }
}

#[test]
fn errors_are_sentences() {
    let cases: [(&mut [u8], DecodeError, &str); 5] = [
        (&mut [], DecodeError::Framing, "bytes on the link are not a frame"),
        (&mut [9, 1, 1], DecodeError::Framing, "bytes on the link are not a frame"),
        (
            &mut [7, 1, 2, 3, 4, 5, 6],
            DecodeError::Checksum,
            "frame checksum is wrong, bytes were lost or changed on the link",
        ),
        (
            &mut framed(2, 8, &[0]),
            DecodeError::Version { sequence: 8, found: 2 },
            "the peer speaks protocol version 2, this side speaks 1: \
             build firmware and host tools from the same release",
        ),
        (
            &mut framed(PROTOCOL_VERSION, 8, &[99]),
            DecodeError::Message { sequence: 8 },
            "frame is intact but its message is of an unknown kind",
        ),
    ];
    for (frame, error, text) in cases {
        let found = decode::<Request>(frame).expect_err(text);
        assert_eq!((found, found.to_string().as_str()), (error, text));
    }
    let mut buffer = [0; 32];
    let error = encode(0, &Request::SetInput { index: 0, offset: 0, bytes: &[0; 40] }, &mut buffer);
    assert_eq!(error.expect_err("too small").to_string(), "message does not fit in a frame of 32 bytes");
}

/// A frame with a right checksum around any content, without its closing zero.
fn framed(version: u8, sequence: u8, message: &[u8]) -> Vec<u8> {
    let mut content = [&[version, sequence], message].concat();
    content.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&content).to_le_bytes());
    let mut frame = vec![0; cobs::max_encoding_length(content.len())];
    let length = cobs::encode(&content, &mut frame);
    frame.truncate(length);
    frame
}
