//! Memory layout of the board in `TINFER_BOARD`.

fn main() {
    tinfer_build::any_board();
}
