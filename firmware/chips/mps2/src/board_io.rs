//! Lamp and button behind the FPGA's I/O registers.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};

use crate::memory_map::MemoryMap;
use crate::register::Register;

/// User LED 0.
#[derive(Debug)]
pub struct Lamp(Register);

impl Lamp {
    pub(crate) fn new(map: &MemoryMap) -> Self {
        Self(map.leds)
    }
}

impl ErrorType for Lamp {
    type Error = Infallible;
}

impl OutputPin for Lamp {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.write(self.0.read() & !1);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.write(self.0.read() | 1);
        Ok(())
    }
}

/// User push button 0.
#[derive(Debug)]
pub struct Button(Register);

impl Button {
    pub(crate) fn new(map: &MemoryMap) -> Self {
        Self(map.buttons)
    }
}

impl ErrorType for Button {
    type Error = Infallible;
}

impl InputPin for Button {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.read() & 1 != 0)
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}
