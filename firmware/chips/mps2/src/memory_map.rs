//! Where the peripherals of each board are.

use crate::register::Register;

/// Addresses and interrupt numbers of one FPGA image.
#[derive(Debug, Clone, Copy)]
pub struct MemoryMap {
    pub(crate) uart: UartRegisters,
    /// Number of "UART 0 receive" at the NVIC.
    pub(crate) receive_interrupt: u16,
    pub(crate) leds: Register,
    pub(crate) buttons: Register,
}

impl MemoryMap {
    /// AN385, AN386 and AN500 on MPS2 boards.
    // SAFETY: UART 0 and the FPGA's I/O in Arm DAI 0385 and DAI 0386.
    pub const MPS2: Self = unsafe { Self::new(0x4000_4000, 0, 0x4002_8000) };

    /// AN505 on MPS2+ boards, through the secure aliases: the firmware runs in the secure state that reset leaves.
    // SAFETY: UART 0 and the FPGA's I/O in Arm DAI 0505.
    pub const AN505: Self = unsafe { Self::new(0x5020_0000, 32, 0x5030_2000) };

    /// AN547 on MPS3 boards.
    // SAFETY: UART 0 and the FPGA's I/O in Arm DAI 0547.
    pub const AN547: Self = unsafe { Self::new(0x4930_3000, 33, 0x4930_2000) };

    /// # Safety
    /// A CMSDK UART and an FPGAIO block must be at these addresses.
    const unsafe fn new(uart: usize, receive_interrupt: u16, fpga_io: usize) -> Self {
        // SAFETY: as promised: LED0 and BUTTON of FPGAIO; reading the UART's data takes a byte, which only `Read` does.
        unsafe {
            Self {
                uart: UartRegisters::new(uart),
                receive_interrupt,
                leds: Register::new(fpga_io),
                buttons: Register::new(fpga_io + 0x08),
            }
        }
    }
}

/// Registers of a CMSDK UART.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UartRegisters {
    pub data: Register,
    pub state: Register,
    pub control: Register,
    pub interrupts: Register,
    pub baud_divider: Register,
}

impl UartRegisters {
    /// # Safety
    /// A CMSDK UART must be at this address.
    const unsafe fn new(base: usize) -> Self {
        // SAFETY: as promised; offsets from Arm DDI 0479.
        unsafe {
            Self {
                data: Register::new(base),
                state: Register::new(base + 0x04),
                control: Register::new(base + 0x08),
                interrupts: Register::new(base + 0x0c),
                baud_divider: Register::new(base + 0x10),
            }
        }
    }
}
