//! Amounts of ether as people read them.

use alloy::primitives::U256;
use alloy::primitives::utils::format_ether;

/// Digits of an amount that three places would round to nothing.
const DIGITS: usize = 4;

/// An amount in ether with three places; one that is smaller, with its first digits.
#[must_use]
pub fn ether(wei: U256) -> String {
    let text = format_ether(wei);
    let point = text.find('.').unwrap_or(text.len());
    let first = text.find(|digit| matches!(digit, '1'..='9')).unwrap_or(0);
    let end = if first > point + 3 { first + DIGITS } else { point + 4 };
    let shown = &text[..end.min(text.len())];
    format!("{} ETH", if first > point + 3 { shown.trim_end_matches('0') } else { shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_are_not_rounded_to_nothing_and_large_ones_have_three_places() {
        let cases = [
            (0, "0.000 ETH"),
            (1, "0.000000000000000001 ETH"),
            (381_124_952_253_654, "0.0003811 ETH"),
            (400_000_000_000_000, "0.0004 ETH"),
            (4_500_000_000_000_000, "0.004 ETH"),
            (1_234_567_890_000_000_000, "1.234 ETH"),
        ];
        for (wei, expected) in cases {
            assert_eq!(ether(U256::from::<u64>(wei)), expected);
        }
    }
}
