//! Memory layout and constants from board.toml.

fn main() {
    tinfer_build::board();
}
