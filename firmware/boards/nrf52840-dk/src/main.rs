#![no_std]
#![no_main]
//! Firmware for the nRF52840 Development Kit: LED1, BUTTON1, and the serial port of its debugger (115200 baud).

use core::panic::PanicInfo;

use cortex_m::{Peripherals, asm, singleton};
use cortex_m_rt::{ExceptionFrame, entry, exception};
use defmt_rtt as _;
use embassy_nrf::buffered_uarte::{BufferedUarte, InterruptHandler};
use embassy_nrf::gpio::{Input, Level, Output, OutputDrive, Pull};
use embassy_nrf::{bind_interrupts, peripherals, uarte};
use tinfer::Image;
use tinfer_app::{App, Hardware, Identity, Model};
use tinfer_cortex_m::{CycleClock, PaintedStack, model_slot};

mod kit;

include!(concat!(env!("OUT_DIR"), "/board.rs"));

bind_interrupts!(struct Irqs {
    UARTE0 => InterruptHandler<peripherals::UARTE0>;
});

#[entry]
fn main() -> ! {
    let (Some(mut core), Some(arenas)) = (Peripherals::take(), arenas()) else { halt() };
    let (Some(rx), Some(tx)) = (singleton!(: [u8; 256] = [0; 256]), singleton!(: [u8; 256] = [0; 256])) else { halt() };
    let p = embassy_nrf::init(embassy_nrf::config::Config::default());
    let (timer, channels) = (p.TIMER1, (p.PPI_CH0, p.PPI_CH1, p.PPI_GROUP0));
    let (rxd, txd, config) = (p.P0_08, p.P0_06, uarte::Config::default());
    let uart = BufferedUarte::new(p.UARTE0, timer, channels.0, channels.1, channels.2, rxd, txd, Irqs, config, rx, tx);
    // SAFETY: the upper half of the flash, which only a flasher writes, while the core is halted.
    let slot = unsafe { model_slot(MODEL_SLOT_ORIGIN, MODEL_SLOT_BYTES) };
    let image = Image::check(slot);
    let model = Model::bind(&image, slot, arenas, OPERATORS);
    let hardware = Hardware {
        link: kit::Link(uart),
        lamp: kit::ActiveLow(Output::new(p.P0_13, Level::High, OutputDrive::Standard)),
        button: kit::ActiveLow(Input::new(p.P0_11, Pull::Up)),
        clock: CycleClock::new(&mut core.DCB, &mut core.DWT),
        stack: PaintedStack::new(),
    };
    let mut app = App::new(Identity { board: BOARD, isa: ISA }, hardware, model);
    loop {
        app.poll();
    }
}

fn halt() -> ! {
    loop {
        asm::bkpt();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    halt()
}

#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    halt()
}

defmt::timestamp!("");
