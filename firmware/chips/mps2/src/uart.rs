//! CMSDK UART 0: one byte in each direction, no FIFO.

use core::convert::Infallible;

use cortex_m::peripheral::NVIC;
use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::memory_map::{MemoryMap, UartRegisters};

/// UART 0 by polling.
#[derive(Debug)]
pub struct Uart {
    registers: UartRegisters,
    receive: ReceiveInterrupt,
}

impl Uart {
    pub(crate) fn new(map: &MemoryMap) -> Self {
        let registers = map.uart;
        // The emulator sends at once whatever the divider says; 16 is the least that the hardware allows.
        registers.baud_divider.write(16);
        registers.control.write(CONTROL_TX_ENABLE | CONTROL_RX_ENABLE | CONTROL_RX_INTERRUPT);
        Self { registers, receive: ReceiveInterrupt(map.receive_interrupt) }
    }

    /// Sleeps until a byte is there, so that a waiting firmware costs the emulating machine nothing.
    ///
    /// The interrupt only wakes the core and is never taken: interrupts are off here, and pending ones are cleared.
    pub fn wait(&mut self) {
        cortex_m::interrupt::free(|_| {
            // SAFETY: with interrupts off no handler can run; the line only ends the `wfi`.
            unsafe { NVIC::unmask(self.receive) };
            if !self.has_byte() {
                cortex_m::asm::wfi();
            }
            NVIC::mask(self.receive);
        });
    }

    fn has_byte(&self) -> bool {
        self.registers.state.read() & STATE_RX_FULL != 0
    }

    fn can_send(&self) -> bool {
        self.registers.state.read() & STATE_TX_FULL == 0
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
            *place = self.registers.data.read() as u8;
            n_read += 1;
        }
        self.registers.interrupts.write(INTERRUPT_RX);
        NVIC::unpend(self.receive);
        Ok(n_read)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while !self.can_send() {}
            self.registers.data.write(u32::from(byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !self.can_send() {}
        Ok(())
    }
}

/// "UART 0 receive" in the interrupt table of the board.
#[derive(Debug, Clone, Copy)]
struct ReceiveInterrupt(u16);

// SAFETY: the number is fixed for a board and within the NVIC's range.
unsafe impl cortex_m::interrupt::InterruptNumber for ReceiveInterrupt {
    fn number(self) -> u16 {
        self.0
    }
}

const STATE_TX_FULL: u32 = 1 << 0;
const STATE_RX_FULL: u32 = 1 << 1;
const CONTROL_TX_ENABLE: u32 = 1 << 0;
const CONTROL_RX_ENABLE: u32 = 1 << 1;
const CONTROL_RX_INTERRUPT: u32 = 1 << 3;
const INTERRUPT_RX: u32 = 1 << 1;
