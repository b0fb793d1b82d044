//! The debugger's or emulator's console and exit.
//!
//! Source: Arm IHI 0100, "Semihosting for AArch32 and AArch64", operations SYS_WRITEC and SYS_EXIT.

use cortex_m::asm;

/// Writes one byte to the host's console.
pub fn write(byte: u8) {
    // SAFETY: SYS_WRITEC reads the byte that the argument points to.
    unsafe { call(0x03, (&raw const byte).addr()) }
}

/// Ends the emulator with success.
pub fn succeed() -> ! {
    exit(APPLICATION_EXIT)
}

/// Ends the emulator with a failure.
pub fn fail() -> ! {
    exit(RUN_TIME_ERROR)
}

fn exit(reason: usize) -> ! {
    // SAFETY: SYS_EXIT reads and writes no memory.
    unsafe { call(0x18, reason) };
    // Where no debugger answers.
    loop {
        asm::wfi();
    }
}

/// # Safety
/// What the operation does with its argument must be sound.
unsafe fn call(operation: usize, argument: usize) {
    // SAFETY: `bkpt 0xab` is the semihosting trap; r0 carries operation and result, r1 the argument.
    unsafe {
        core::arch::asm!("bkpt #0xab", inout("r0") operation => _, in("r1") argument, options(nostack));
    }
}

/// ADP_Stopped_ApplicationExit.
const APPLICATION_EXIT: usize = 0x2_0026;
/// ADP_Stopped_RunTimeErrorUnknown.
const RUN_TIME_ERROR: usize = 0x2_0023;

/// What ends a program that no interrupt enters but the processor's own: one vector, because the linker script wants it,
/// and a panic and a fault that end the emulator. For a program that depends on `cortex-m-rt`, once.
#[macro_export]
macro_rules! end_by_semihosting {
    () => {
        #[unsafe(link_section = ".vector_table.interrupts")]
        #[unsafe(no_mangle)]
        static __INTERRUPTS: [unsafe extern "C" fn(); 1] = [DefaultHandler];

        unsafe extern "C" {
            /// Of `cortex-m-rt`: does nothing for ever.
            fn DefaultHandler();
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo) -> ! {
            $crate::semihosting::fail()
        }

        #[cortex_m_rt::exception]
        unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
            $crate::semihosting::fail()
        }
    };
}
