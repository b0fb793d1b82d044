//! Direct branches in Thumb code: enough of a disassembler to say who calls whom.

/// Addresses that the 32-bit `BL` and `B.W` instructions in `code` go to; `address` is that of its first byte.
///
/// Every halfword is tried as the start of an instruction, so constants between the instructions may give addresses
/// that nothing goes to: good for looking known addresses up, and for nothing else.
///
/// # Algorithm
/// Arm v7-M Architecture Reference Manual (DDI 0403), A7.7.12 B encoding T4 and A7.7.18 BL encoding T1:
///
/// ```text
/// 1111 0 S imm10        1 L J1 1 J2 imm11        L: 1 for BL, 0 for B.W
/// I1 = !(J1 ^ S), I2 = !(J2 ^ S), offset = sign_extend(S:I1:I2:imm10:imm11:0) from the instruction + 4
/// ```
pub fn targets(code: &[u8], address: u32) -> impl Iterator<Item = u32> {
    let halfword = |at: usize| u16::from_le_bytes([code[at], code[at + 1]]);
    (0..code.len().saturating_sub(3)).step_by(2).filter_map(move |at| {
        let offset = branch_offset(halfword(at), halfword(at + 2))?;
        let here = address.wrapping_add(u32::try_from(at).ok()?);
        Some(here.wrapping_add(4).wrapping_add_signed(offset))
    })
}

/// What the 32-bit `BL` or `B.W` adds to its address + 4; `None` for other instructions.
pub fn branch_offset(first: u16, second: u16) -> Option<i32> {
    if first & 0xf800 != 0xf000 || second & 0x9000 != 0x9000 {
        return None;
    }
    let sign = u32::from(first >> 10 & 1);
    let i1 = !(u32::from(second >> 13) ^ sign) & 1;
    let i2 = !(u32::from(second >> 11) ^ sign) & 1;
    let imm10 = u32::from(first & 0x3ff);
    let imm11 = u32::from(second & 0x7ff);
    let bits = sign << 24 | i1 << 23 | i2 << 22 | imm10 << 12 | imm11 << 1;
    // Sign extension from 25 bits.
    Some((bits << 7).cast_signed() >> 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_read_as_the_assembler_wrote_them() {
        // The comments are what the disassembler capstone reads at address 0x100.
        let cases = [
            ([0x00, 0xf0, 0x00, 0xf8], Some(0x104)),  // bl  . + 4
            ([0xff, 0xf7, 0xfe, 0xff], Some(0x100)),  // bl  .
            ([0xff, 0xf7, 0x7e, 0xbf], Some(0x0)),    // b.w . - 0x100
            ([0x00, 0xf0, 0x00, 0xb8], Some(0x104)),  // b.w . + 4
            ([0x01, 0xf0, 0x00, 0xf8], Some(0x1104)), // bl  . + 0x1004
            ([0x00, 0xbf, 0x00, 0xbf], None),         // nop; nop
            ([0x4f, 0xf0, 0x01, 0x00], None),         // mov.w r0, #1
        ];
        for (bytes, target) in cases {
            assert_eq!(targets(&bytes, 0x100).next(), target, "{bytes:02x?}");
        }
    }

    #[test]
    fn odd_ends_are_no_code() {
        assert_eq!(targets(&[0x00, 0xf0, 0x00], 0).count(), 0);
        assert_eq!(targets(&[], 0).count(), 0);
    }
}
