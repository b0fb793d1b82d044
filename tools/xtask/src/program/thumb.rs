//! What a Thumb instruction does to the stack and to the flow of control: enough of a disassembler to bound a stack.
//!
//! Source: Arm v7-M Architecture Reference Manual (DDI 0403), chapters A5 (encodings) and A7.7 (instructions); Arm v8-M
//! Architecture Reference Manual (DDI 0553) for the vector stores of MVE.

use crate::symbols::branch_offset;

/// An instruction, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that matters.
    None,
    /// The stack grows by so many bytes.
    Grow(u32),
    /// Something that is not understood happens to the stack pointer.
    Unknown,
    /// A register is what the stack pointer is, or so many bytes below it.
    CopyStack { register: u8, below: u32 },
    /// The low bits of a register are cleared: all below this power of two.
    Align { register: u8, to: u32 },
    /// A register is set from the frame pointer, r7.
    CopyFrame { register: u8 },
    /// The stack pointer is set from a register.
    SetStack { register: u8 },
    /// A subroutine call.
    Call(u32),
    /// A branch, conditional or not.
    Branch(u32),
    /// A call through a register.
    CallRegister,
    /// A jump through a register or a word of memory that is no return.
    JumpRegister,
    /// The lower half of a register is set, the upper cleared.
    Low { register: u8, half: u32 },
    /// The upper half of a register is set.
    High { register: u8, half: u32 },
    /// An address close by is taken.
    Address(u32),
}

/// Decodes the instruction at the start of `code`, whose address is `address`; its length in bytes, and what it does.
/// `None` behind the end.
pub fn decode(code: &[u8], address: u32) -> Option<(usize, Effect)> {
    let halfword = |at: usize| Some(u16::from_le_bytes([*code.get(at)?, *code.get(at + 1)?]));
    let first = halfword(0)?;
    if first >> 11 < 0b11101 {
        return Some((2, narrow(first, address)));
    }
    Some((4, wide(first, halfword(2)?, address)))
}

fn narrow(word: u16, address: u32) -> Effect {
    let here = address.wrapping_add(4);
    let register = (word >> 3 & 0xf) as u8;
    // MOV, ADD and CMP of all registers have the highest bit of the target at 7.
    let target = (word & 7 | word >> 4 & 8) as u8;
    match word {
        _ if word & 0xfe00 == 0xb400 => Effect::Grow(4 * (word & 0x1ff).count_ones()),
        _ if word & 0xff80 == 0xb080 => Effect::Grow(4 * u32::from(word & 0x7f)),
        _ if word & 0xff00 == 0x4400 && target == SP => Effect::Unknown,
        _ if word & 0xff00 == 0x4400 && target == PC => Effect::Unknown,
        _ if word & 0xff00 == 0x4600 && target == SP => Effect::SetStack { register },
        _ if word & 0xff00 == 0x4600 && target == PC && register != LR => Effect::JumpRegister,
        _ if word & 0xff00 == 0x4600 && register == SP => Effect::CopyStack { register: target, below: 0 },
        _ if word & 0xff00 == 0x4600 && register == FRAME => Effect::CopyFrame { register: target },
        _ if word & 0xff80 == 0x4700 && register != LR => Effect::JumpRegister,
        _ if word & 0xff80 == 0x4780 => Effect::CallRegister,
        // SUBS Rd, r7, #imm3
        _ if word & 0xfe38 == 0x1e38 => Effect::CopyFrame { register: (word & 7) as u8 },
        _ if word & 0xf800 == 0xe000 => {
            Effect::Branch(here.wrapping_add_signed(i32::from((word << 5).cast_signed() >> 4)))
        }
        _ if word & 0xf000 == 0xd000 && word & 0x0e00 != 0x0e00 => {
            Effect::Branch(here.wrapping_add_signed(i32::from((word << 8).cast_signed() >> 7)))
        }
        // ADR T1
        _ if word & 0xf800 == 0xa000 => Effect::Address((here & !3).wrapping_add(4 * u32::from(word & 0xff))),
        _ => Effect::None,
    }
}

fn wide(first: u16, second: u16, address: u32) -> Effect {
    let here = address.wrapping_add(4);
    if let Some(offset) = branch_offset(first, second) {
        let target = here.wrapping_add_signed(offset);
        return if second & 0x4000 != 0 { Effect::Call(target) } else { Effect::Branch(target) };
    }
    if let Some(offset) = conditional_offset(first, second) {
        return Effect::Branch(here.wrapping_add_signed(offset));
    }
    let (base, target) = ((first & 0xf) as u8, (second >> 8 & 0xf) as u8);
    let imm12 = u32::from(first >> 10 & 1) << 11 | u32::from(second >> 12 & 7) << 8 | u32::from(second & 0xff);
    let imm16 = u32::from(first & 0xf) << 12 | imm12;
    match first {
        // STMDB sp!, PUSH.W
        0xe92d => Effect::Grow(4 * second.count_ones()),
        // STRD [sp, #-imm]!
        0xe96d => Effect::Grow(4 * u32::from(second & 0xff)),
        // STRB, STRH, STR [sp, #-imm]!
        0xf80d | 0xf82d | 0xf84d if second & 0x0f00 == 0x0d00 => Effect::Grow(u32::from(second & 0xff)),
        // VPUSH; VSTRB, VSTRH, VSTRW [sp, #-imm]! of MVE
        0xed2d | 0xed6d if second & 0x0e00 == 0x0a00 => Effect::Grow(4 * u32::from(second & 0xff)),
        0xed2d | 0xed6d if second & 0x1e00 == 0x1e00 => Effect::Grow(u32::from(second & 0x7f) << (second >> 7 & 3)),
        0xed2d | 0xed6d => Effect::Unknown,
        // SUB.W and SUBW of the stack pointer
        0xf1ad | 0xf5ad | 0xf1bd | 0xf5bd => below_stack(target, expanded(imm12)),
        0xf2ad | 0xf6ad => below_stack(target, imm12),
        // ADDW, ADD.W of the stack pointer to itself shrink the stack; to another register they take an address.
        // ADD, SUB of registers
        _ if first & 0xffc0 == 0xeb80 && target == SP => Effect::Unknown,
        _ if first & 0xffe0 == 0xeb00 && target == SP => Effect::Unknown,
        // SUB.W, SUBW Rd, r7
        _ if first & 0xfbe0 == 0xf1a0 && base == FRAME => Effect::CopyFrame { register: target },
        _ if first & 0xfbff == 0xf2a7 => Effect::CopyFrame { register: target },
        // BFC Rd, #0, #width
        0xf36f if second & 0x70c0 == 0 => Effect::Align { register: target, to: 2 << (second & 0x1f) },
        // BIC Rd, Rd, #2^n - 1
        _ if first & 0xfbe0 == 0xf020 && base == target => {
            let mask = expanded(imm12);
            if mask & mask.wrapping_add(1) == 0 {
                Effect::Align { register: target, to: mask.wrapping_add(1) }
            } else {
                Effect::None
            }
        }
        _ if first & 0xfbf0 == 0xf240 => Effect::Low { register: target, half: imm16 },
        _ if first & 0xfbf0 == 0xf2c0 => Effect::High { register: target, half: imm16 },
        // ADR T3, T2
        _ if first & 0xfbff == 0xf20f => Effect::Address((here & !3).wrapping_add(imm12)),
        _ if first & 0xfbff == 0xf2af => Effect::Address((here & !3).wrapping_sub(imm12)),
        // LDR pc; with sp as base and write-back it is a return.
        _ if first & 0xff70 == 0xf850 && second >> 12 == u16::from(PC) => {
            let pops = first == 0xf85d && second & 0x0f00 == 0x0b00;
            if pops { Effect::None } else { Effect::JumpRegister }
        }
        _ => Effect::None,
    }
}

fn below_stack(register: u8, below: u32) -> Effect {
    if register == SP { Effect::Grow(below) } else { Effect::CopyStack { register, below } }
}

/// B encoding T3.
fn conditional_offset(first: u16, second: u16) -> Option<i32> {
    if first & 0xf800 != 0xf000 || second & 0xd000 != 0x8000 || first >> 7 & 7 == 7 {
        return None;
    }
    let bit = |word: u16, at: u32| u32::from(word >> at & 1);
    let bits = bit(first, 10) << 20
        | bit(second, 11) << 19
        | bit(second, 13) << 18
        | u32::from(first & 0x3f) << 12
        | u32::from(second & 0x7ff) << 1;
    // Sign extension from 21 bits.
    Some((bits << 11).cast_signed() >> 11)
}

/// `ThumbExpandImm`.
fn expanded(imm12: u32) -> u32 {
    let byte = imm12 & 0xff;
    match imm12 >> 8 {
        0 => byte,
        1 => byte << 16 | byte,
        2 => byte << 24 | byte << 8,
        3 => byte << 24 | byte << 16 | byte << 8 | byte,
        _ => (0x80 | imm12 & 0x7f).rotate_right(imm12 >> 7),
    }
}

const FRAME: u8 = 7;
const SP: u8 = 13;
const LR: u8 = 14;
const PC: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Effect) {
        let length = bytes.len();
        assert_eq!(decode(bytes, 0x100), Some((length, expected)), "{bytes:02x?}");
    }

    #[test]
    fn what_grows_the_stack_is_seen() {
        // The comments are what llvm-mc assembles to these bytes.
        let cases: [(&[u8], u32); 12] = [
            (&[0xf0, 0xb5], 20),                 // push {r4-r7, lr}
            (&[0xf0, 0xb4], 16),                 // push {r4-r7}
            (&[0x2d, 0xe9, 0xf0, 0x4f], 36),     // push.w {r4-r11, lr}
            (&[0x4d, 0xf8, 0x04, 0x8d], 4),      // str r8, [sp, #-4]!
            (&[0x6d, 0xe9, 0x04, 0x01], 16),     // strd r0, r1, [sp, #-16]!
            (&[0x2d, 0xed, 0x10, 0x8b], 64),     // vpush {d8-d15}
            (&[0x2d, 0xed, 0x02, 0x0a], 8),      // vpush {s0, s1}
            (&[0x8a, 0xb0], 40),                 // sub sp, #40
            (&[0xad, 0xf5, 0x64, 0x7d], 912),    // sub.w sp, sp, #912
            (&[0xad, 0xf2, 0x04, 0x4d], 1028),   // subw sp, sp, #1028
            (&[0xad, 0xf5, 0x80, 0x5d], 0x1000), // sub.w sp, sp, #4096
            (&[0x2d, 0xed, 0x04, 0x1f], 16),     // vstrw.32 q0, [sp, #-16]!
        ];
        for (bytes, expected) in cases {
            check(bytes, Effect::Grow(expected));
        }
    }

    #[test]
    fn other_uses_of_the_stack_pointer_are_told_apart() {
        let cases: [(&[u8], Effect); 12] = [
            (&[0xbd, 0x46], Effect::SetStack { register: 7 }), // mov sp, r7
            (&[0xa5, 0x46], Effect::SetStack { register: 4 }), // mov sp, r4
            (&[0x6c, 0x46], Effect::CopyStack { register: 4, below: 0 }), // mov r4, sp
            (&[0xad, 0xf1, 0x20, 0x04], Effect::CopyStack { register: 4, below: 32 }), // sub.w r4, sp, #32
            (&[0x6f, 0xf3, 0x03, 0x04], Effect::Align { register: 4, to: 16 }), // bfc r4, #0, #4
            (&[0x24, 0xf0, 0x0f, 0x04], Effect::Align { register: 4, to: 16 }), // bic r4, r4, #15
            (&[0xa7, 0xf1, 0x18, 0x04], Effect::CopyFrame { register: 4 }), // sub.w r4, r7, #24
            (&[0x3c, 0x1f], Effect::CopyFrame { register: 4 }), // subs r4, r7, #4
            (&[0xad, 0xeb, 0x00, 0x0d], Effect::Unknown),      // sub.w sp, sp, r0
            (&[0x85, 0x44], Effect::Unknown),                  // add sp, r0
            (&[0x0a, 0xb0], Effect::None),                     // add sp, #40
            (&[0xf0, 0xbd], Effect::None),                     // pop {r4-r7, pc}
        ];
        for (bytes, expected) in cases {
            check(bytes, expected);
        }
    }

    #[test]
    fn control_flow_is_followed() {
        let cases: [(&[u8], Effect); 14] = [
            (&[0x00, 0xf0, 0x00, 0xf8], Effect::Call(0x104)),   // bl . + 4
            (&[0x00, 0xf0, 0x00, 0xb8], Effect::Branch(0x104)), // b.w . + 4
            (&[0xfe, 0xe7], Effect::Branch(0x100)),             // b .
            (&[0xfd, 0xd1], Effect::Branch(0xfe)),              // bne . - 2
            (&[0x40, 0xf0, 0x80, 0x80], Effect::Branch(0x204)), // bne.w . + 0x104
            (&[0x7f, 0xf4, 0x7e, 0xaf], Effect::Branch(0x0)),   // bne.w . - 0x100
            (&[0x98, 0x47], Effect::CallRegister),              // blx r3
            (&[0x18, 0x47], Effect::JumpRegister),              // bx r3
            (&[0x70, 0x47], Effect::None),                      // bx lr
            (&[0xdd, 0xf8, 0x04, 0xf0], Effect::JumpRegister),  // ldr.w pc, [sp, #4]
            (&[0x5d, 0xf8, 0x04, 0xfb], Effect::None),          // ldr pc, [sp], #4
            (&[0x40, 0xf6, 0xad, 0x01], Effect::Low { register: 1, half: 2221 }), // movw r1, #2221
            (&[0xc2, 0xf2, 0x00, 0x01], Effect::High { register: 1, half: 0x2000 }), // movt r1, #0x2000
            (&[0x0f, 0xf2, 0x5c, 0x32], Effect::Address(0x460)), // adr.w r2, . + 0x360
        ];
        for (bytes, expected) in cases {
            check(bytes, expected);
        }
        assert_eq!(decode(&[0x00], 0), None);
        assert_eq!(decode(&[0x2d, 0xe9, 0xf0], 0), None);
    }
}
