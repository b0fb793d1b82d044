//! What the app asks for, from what the kit and its driver have.

use embassy_futures::block_on;
use embassy_nrf::buffered_uarte::{BufferedUarte, Error};
use embedded_hal::digital::{ErrorType as PinError, InputPin, OutputPin};
use embedded_io::{ErrorType, Read, ReadReady, Write};

/// A pin that is low when its lamp is lit or its button is pressed, as all four of each on the kit.
pub struct ActiveLow<P>(pub P);

impl<P: PinError> PinError for ActiveLow<P> {
    type Error = P::Error;
}

impl<P: OutputPin> OutputPin for ActiveLow<P> {
    fn set_low(&mut self) -> Result<(), P::Error> {
        self.0.set_high()
    }

    fn set_high(&mut self) -> Result<(), P::Error> {
        self.0.set_low()
    }
}

impl<P: InputPin> InputPin for ActiveLow<P> {
    fn is_high(&mut self) -> Result<bool, P::Error> {
        self.0.is_low()
    }

    fn is_low(&mut self) -> Result<bool, P::Error> {
        self.0.is_high()
    }
}

/// The interrupt-driven port, waited for by polling: this firmware does one thing at a time.
pub struct Link(pub BufferedUarte<'static>);

impl ErrorType for Link {
    type Error = Error;
}

impl ReadReady for Link {
    fn read_ready(&mut self) -> Result<bool, Error> {
        ReadReady::read_ready(&mut self.0)
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        block_on(self.0.read(buffer))
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        block_on(self.0.write(bytes))
    }

    fn flush(&mut self) -> Result<(), Error> {
        block_on(self.0.flush())
    }
}
