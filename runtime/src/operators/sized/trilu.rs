//! Triangles of matrices.
//!
//! ```text
//! inputs:     x, then k (int32 or int64) when the model gives it at run time
//! parameters: 0 triangle u8 (0 lower, 1 upper)   1 reserved   4 k i32 .. 8
//! ```

use super::{Integers, check_integers, moved, sized};
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::portable::{self, Triangle};
use crate::operators::{StepContext, StepOperands};
use bytemuck::Pod;

sized! { check, run;
    /// Triangle of elements of one byte.
    TRILU_B1: u8 = 0x0430, "trilu_b1";
    /// Triangle of elements of two bytes.
    TRILU_B2: u16 = 0x0431, "trilu_b2";
    /// Triangle of elements of four bytes.
    TRILU_B4: u32 = 0x0432, "trilu_b4";
    /// Triangle of elements of eight bytes.
    TRILU_B8: u64 = 0x0433, "trilu_b8";
}

/// Parameters of a triangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriluRecord {
    /// What stays.
    pub triangle: Triangle,
    /// Columns from the main diagonal to the one that counts; not looked at when it is an operand.
    pub k: i32,
}

impl TriluRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        RecordWriter::default().put(0, &[self.triangle as u8]).put(4, &self.k.to_le_bytes()).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let triangle = match u8_at(parameters, 0)? {
            0 => Triangle::Lower,
            1 => Triangle::Upper,
            _ => return None,
        };
        Some(TriluRecord { triangle, k: i32_at(parameters, 4)? })
    }
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let (input, output) = moved(operands, 0, size_bytes)?;
    if input.shape.broadcast_dims() != output.shape.broadcast_dims() {
        return Err("its input and output differ in shape");
    }
    if input.quantization.zero_point != 0 {
        return Err("its zeros would not be 0");
    }
    TriluRecord::view(operands.parameters()).ok_or("unknown triangle")?;
    if operands.n_inputs() > 1 {
        check_integers(operands, 1)?;
    }
    Ok(output.shape.n_elements() as u64)
}

fn run<T: Pod + Default>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let TriluRecord { triangle, k } = TriluRecord::view(ctx.parameters())?;
    let k = if ctx.n_inputs() > 1 { *Integers::read(ctx, 1)?.values().first()? } else { i64::from(k) };
    let [.., rows, columns] = ctx.input(0)?.shape.broadcast_dims();
    let map = ctx.map::<T, T>(0, 0)?;
    portable::trilu(triangle, k, [rows, columns], map.input, map.output)
}
