//! Every operator in an image of its own: golden values, and the steps that bind must refuse.

mod case;
mod conversion;
mod elementwise;
mod golden;
mod int16;
mod int4;
mod padding;
mod reduction;
mod refusals;
mod row_normalization;
mod sized;
mod windows;

#[test]
fn codes_and_names_are_unique() {
    for (i, a) in super::ALL.iter().enumerate() {
        assert!(super::ALL.iter().skip(i + 1).all(|b| a.code != b.code && a.name != b.name), "{}", a.name);
    }
}
