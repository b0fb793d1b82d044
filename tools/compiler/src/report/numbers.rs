//! Numbers as people read them.

use tinfer::tensor::Shape;

/// `1,234,567`
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As [`grouped`], `–` for nothing.
pub(super) fn grouped_or_dash(n: Option<u64>) -> String {
    n.map_or_else(dash, grouped)
}

/// A ratio in dB as reports bound it: 200 and above is no error at all.
pub(super) fn decibels(db: Option<f64>) -> String {
    match db {
        None => dash(),
        Some(db) if db >= 200.0 => "exact".into(),
        Some(db) => format!("{db:.1}"),
    }
}

/// A part of 1 as `98.75 %`; what is not 0 does not look like it.
pub(super) fn percent(part: f64) -> String {
    if part > 0.0 && part < 5e-5 { "< 0.01 %".into() } else { format!("{:.2} %", part * 100.0) }
}

/// Three significant digits, without an exponent where that is short.
pub(crate) fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2 - magnitude.log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// `1×28×28×8`
pub(super) fn dims(shape: &Shape) -> String {
    let dims: Vec<String> = shape.dims().iter().map(u32::to_string).collect();
    if dims.is_empty() { "scalar".into() } else { dims.join("×") }
}

/// At most `n_most` characters, the end replaced by `…`; nothing when not even three fit.
pub(super) fn fitted(text: &str, n_most: usize) -> String {
    if text.chars().count() <= n_most {
        return text.to_string();
    }
    if n_most < 3 {
        return String::new();
    }
    text.chars().take(n_most - 1).chain(['…']).collect()
}

/// As [`fitted`], but the end stays: names of a path differ there.
pub(super) fn fitted_end(text: &str, n_most: usize) -> String {
    let n = text.chars().count();
    if n <= n_most {
        return text.to_string();
    }
    if n_most < 3 {
        return String::new();
    }
    ['…'].into_iter().chain(text.chars().skip(n - n_most + 1)).collect()
}

fn dash() -> String {
    "–".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let check = |value: f64, text: &str| assert_eq!(significant(value), text);
        check(0.0, "0");
        check(1.0, "1");
        check(-0.25, "-0.25");
        check(123.46, "123");
        check(12345.6, "12346");
        check(0.001234, "0.00123");
        check(1e-7, "1.00e-7");
        assert_eq!([0.0, 1e-6, 0.12345, 1.0].map(percent), ["0.00 %", "< 0.01 %", "12.35 %", "100.00 %"]);
        assert_eq!(decibels(Some(200.0)) + &decibels(None) + &decibels(Some(31.26)), "exact–31.3");
    }

    #[test]
    fn text_is_cut_by_characters() {
        assert_eq!(fitted("größer", 6), "größer");
        assert_eq!(fitted("größer", 5), "größ…");
        assert_eq!(fitted("abc", 2), "");
        assert_eq!(fitted_end("größer", 5), "…ößer");
        assert_eq!([fitted_end("abc", 3), fitted_end("abcd", 2)], ["abc", ""]);
    }
}
