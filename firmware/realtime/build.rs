//! Memory layout, constants and the list of operators, from `TINFER_BOARD` and `TINFER_MODEL`.

fn main() {
    tinfer_build::any_board();
}
