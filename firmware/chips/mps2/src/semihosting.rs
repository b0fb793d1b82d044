//! The emulator's exit.

use cortex_m::asm;

/// Ends the emulator with a failure, so that the host learns at once that the firmware cannot go on. On a real board,
/// where no debugger answers, the core halts.
pub fn give_up() -> ! {
    // SAFETY: SYS_EXIT with a reason code reads and writes no memory; 0x20023 is ADP_Stopped_RunTimeErrorUnknown.
    unsafe { semihosting_call(0x18, 0x2_0023) };
    loop {
        asm::wfi();
    }
}

/// # Safety
/// What the operation does with its argument must be sound.
unsafe fn semihosting_call(operation: u32, argument: u32) {
    // SAFETY: `bkpt 0xab` is the semihosting trap; r0 carries operation and result, r1 the argument.
    unsafe {
        core::arch::asm!("bkpt #0xab", inout("r0") operation => _, in("r1") argument, options(nostack));
    }
}
