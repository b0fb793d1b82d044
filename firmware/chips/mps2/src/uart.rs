//! CMSDK UART 0: one byte in each direction, no FIFO.

use core::convert::Infallible;

use cortex_m::peripheral::NVIC;
use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::register::Register;

/// UART 0 by polling.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    pub(crate) fn new() -> Self {
        // The emulator sends at once whatever the divider says; 16 is the least that the hardware allows.
        BAUD_DIVIDER.write(16);
        CONTROL.write(CONTROL_TX_ENABLE | CONTROL_RX_ENABLE | CONTROL_RX_INTERRUPT);
        Self(())
    }

    /// Sleeps until a byte is there, so that a waiting firmware costs the emulating machine nothing.
    ///
    /// The interrupt only wakes the core and is never taken: interrupts are off here, and pending ones are cleared.
    pub fn wait(&mut self) {
        cortex_m::interrupt::free(|_| {
            // SAFETY: with interrupts off no handler can run; the line only ends the `wfi`.
            unsafe { NVIC::unmask(ReceiveInterrupt) };
            if !self.has_byte() {
                cortex_m::asm::wfi();
            }
            NVIC::mask(ReceiveInterrupt);
        });
    }

    fn has_byte(&self) -> bool {
        STATE.read() & STATE_RX_FULL != 0
    }

    fn can_send(&self) -> bool {
        STATE.read() & STATE_TX_FULL == 0
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.has_byte())
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while !self.has_byte() {}
        let mut n_read = 0;
        for place in buffer.iter_mut() {
            if !self.has_byte() {
                break;
            }
            *place = DATA.read() as u8;
            n_read += 1;
        }
        INTERRUPTS.write(INTERRUPT_RX);
        NVIC::unpend(ReceiveInterrupt);
        Ok(n_read)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while !self.can_send() {}
            DATA.write(u32::from(byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !self.can_send() {}
        Ok(())
    }
}

/// "UART 0 receive" in the interrupt tables of AN385, AN386 and AN500.
#[derive(Debug, Clone, Copy)]
struct ReceiveInterrupt;

// SAFETY: the number is fixed and within the NVIC's range.
unsafe impl cortex_m::interrupt::InterruptNumber for ReceiveInterrupt {
    fn number(self) -> u16 {
        0
    }
}

const BASE: usize = 0x4000_4000;
// SAFETY: registers of UART 0; reading DATA takes a byte, which only `Read` does.
const DATA: Register = unsafe { Register::new(BASE) };
// SAFETY: as above.
const STATE: Register = unsafe { Register::new(BASE + 0x04) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::new(BASE + 0x08) };
// SAFETY: as above.
const INTERRUPTS: Register = unsafe { Register::new(BASE + 0x0c) };
// SAFETY: as above.
const BAUD_DIVIDER: Register = unsafe { Register::new(BASE + 0x10) };

const STATE_TX_FULL: u32 = 1 << 0;
const STATE_RX_FULL: u32 = 1 << 1;
const CONTROL_TX_ENABLE: u32 = 1 << 0;
const CONTROL_RX_ENABLE: u32 = 1 << 1;
const CONTROL_RX_INTERRUPT: u32 = 1 << 3;
const INTERRUPT_RX: u32 = 1 << 1;
