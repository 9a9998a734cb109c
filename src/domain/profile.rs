//! What a doctor may say of themselves: the limits of a profile's fields.

use url::Url;

use super::refusal::Violation;

/// Most qualifications, and longest of them in characters.
pub const QUALIFICATIONS: (usize, usize) = (20, 200);
/// Most years of experience.
pub const EXPERIENCE_MAX: u32 = 80;
/// Longest address of a photo, in characters.
pub const PHOTO_URL_MAX: usize = 500;

/// The address of a photo as it is kept: `https`, with a host, without credentials. `None` for anything else.
#[must_use]
pub fn photo_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let kept = String::from(url);
    (kept.starts_with("https://") && !has_credentials && kept.chars().count() <= PHOTO_URL_MAX).then_some(kept)
}

/// Adds what is wrong with a price, in minor units of a currency, at `pointer`.
pub fn check_price(pointer: &str, (amount, currency): &(i64, String), found: &mut Vec<Violation>) {
    if *amount < 0 {
        found.push(Violation::new(format!("{pointer}/amountMinor"), "out_of_range", "0 or more"));
    }
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        found.push(Violation::new(format!("{pointer}/currency"), "invalid", "an ISO 4217 code in upper case"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_at_an_https_address_without_credentials() {
        for (given, kept) in [
            ("https://fotos.example/ana.jpg", "https://fotos.example/ana.jpg"),
            ("HTTPS://Fotos.Example:8443/a?b=c#d", "https://fotos.example:8443/a?b=c#d"),
            ("https://clínica.example/ñ.jpg", "https://xn--clnica-4va.example/%C3%B1.jpg"),
        ] {
            assert_eq!(photo_url(given).as_deref(), Some(kept));
        }
        let long = format!("https://fotos.example/{}", "a".repeat(500));
        for text in [
            "",
            "ana.jpg",
            "//fotos.example/ana.jpg",
            "http://fotos.example/ana.jpg",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "https://",
            "https://ana@fotos.example/",
            "https://ana:clave@fotos.example/",
            "https://:clave@fotos.example/",
            &long,
        ] {
            assert_eq!(photo_url(text), None, "{text}");
        }
    }
}
