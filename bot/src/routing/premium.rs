//! Beginnings of numbers that cost the caller more than a call, and to which stolen accounts are made to dial.
//!
//! A general allowance such as `+49` or `+1` does not open them: each must be listed as such. Source: the national
//! numbering plans and ITU-T E.164's list of assigned country codes. Complete lists do not exist; limits and budget
//! stand behind this one.

/// The premium prefix that the number begins with.
pub(super) fn premium(number: &str) -> Option<&'static str> {
    PREFIXES.iter().copied().find(|prefix| number.starts_with(prefix))
}

const PREFIXES: &[&str] = &[
    // Satellites, ships, networks without a country, and the world's own premium and shared-cost services.
    "+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979",
    // Germany: premium, mass calling, shared cost, directory enquiries.
    "+49900", "+49137", "+49180", "+49118", "+4919", // Austria.
    "+43810", "+43820", "+43821", "+43900", "+43901", "+43930", "+43931", "+43939", "+43118",
    // Switzerland.
    "+4184", "+41900", "+41901", "+41906", "+4118",
    // North America: premium, and the countries that share +1 and not its prices.
    "+1900", "+1976", "+1242", "+1246", "+1264", "+1268", "+1284", "+1345", "+1441", "+1473", "+1649", "+1658", "+1664",
    "+1721", "+1758", "+1767", "+1784", "+1809", "+1829", "+1849", "+1868", "+1869", "+1876",
    // United Kingdom: personal numbers, business rate, premium, directory enquiries.
    "+4470", "+4484", "+4487", "+449", "+44118", // France, Spain, Italy, Portugal.
    "+3381", "+3382", "+3389", "+33118", "+34803", "+34806", "+34807", "+34905", "+34118", "+39144", "+39166", "+3984",
    "+39892", "+39893", "+39894", "+39895", "+39899", "+351607", "+351608", "+351760", "+351761",
    // Netherlands, Belgium, Luxembourg.
    "+31900", "+31906", "+31909", "+3118", "+32900", "+32901", "+32902", "+32903", "+32904", "+32905", "+32906",
    "+32907", "+32908", "+32909", "+352900", "+352901", "+352905",
    // Poland, Czechia, Sweden, Denmark, Norway, Finland.
    "+4870", "+420900", "+420906", "+420908", "+420909", "+46900", "+46939", "+46944", "+4590", "+47820", "+47829",
    "+35860", "+35870", // Australia, New Zealand, Japan.
    "+6119", "+64900", "+81990",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_the_beginning_of_a_number_and_none_hides_another() {
        for (at, prefix) in PREFIXES.iter().enumerate() {
            assert!(prefix.len() >= 4 && prefix[1..].bytes().all(|byte| byte.is_ascii_digit()), "{prefix}");
            assert!(!PREFIXES[..at].iter().any(|other| prefix.starts_with(other)), "{prefix}");
        }
    }

    #[test]
    fn ordinary_numbers_are_not_premium() {
        for number in ["+4930123456", "+491711234567", "+498001234567", "+12125550123", "+442079460000", "+33612345678"]
        {
            assert_eq!(premium(number), None, "{number}");
        }
        assert_eq!(premium("+499001234567"), Some("+49900"));
    }
}
