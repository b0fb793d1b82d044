use super::palette;
use plotters::style::RGBColor;

#[test]
fn every_colour_of_a_plot_has_one_on_the_page() {
    let style = include_str!("page.css");
    let check = |attribute: &str, RGBColor(r, g, b): RGBColor| {
        let rule = format!(".plot [{attribute}=\"#{r:02X}{g:02X}{b:02X}\"]");
        assert!(style.contains(&rule), "{rule}");
    };
    [palette::INK, palette::GRID, palette::LIMIT].into_iter().for_each(|c| check("stroke", c));
    let filled = [palette::INK, palette::BAR, palette::ZONE, palette::SCRATCH, palette::INPUT];
    filled.into_iter().chain(palette::TENSORS).for_each(|c| check("fill", c));
}

#[test]
fn the_style_sheet_is_safe_inside_a_page() {
    assert!(!include_str!("page.css").contains(['<', '&']));
}
