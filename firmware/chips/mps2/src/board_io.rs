//! Lamp and button behind the FPGA's I/O registers.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};

use crate::register::Register;

/// User LED 0.
#[derive(Debug)]
pub struct Lamp(());

impl Lamp {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl ErrorType for Lamp {
    type Error = Infallible;
}

impl OutputPin for Lamp {
    fn set_low(&mut self) -> Result<(), Infallible> {
        LEDS.write(LEDS.read() & !1);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        LEDS.write(LEDS.read() | 1);
        Ok(())
    }
}

/// User push button 0.
#[derive(Debug)]
pub struct Button(());

impl Button {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl ErrorType for Button {
    type Error = Infallible;
}

impl InputPin for Button {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(BUTTONS.read() & 1 != 0)
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

// SAFETY: FPGAIO of the MPS2 boards, LED0 and BUTTON.
const LEDS: Register = unsafe { Register::new(0x4002_8000) };
// SAFETY: as above.
const BUTTONS: Register = unsafe { Register::new(0x4002_8008) };
