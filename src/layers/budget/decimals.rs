pub(super) const THOUSANDTHS: u32 = 1_000;

/// The number in thousandths, further decimals cut off; `None` if out of range.
pub(super) fn thousandths(number: f64) -> Option<u32> {
    // Without the small addend, a written 0.29 would become 289.99999.
    let scaled = (number * f64::from(THOUSANDTHS) + 1e-6).floor();
    let in_range = (1.0..=f64::from(u32::MAX)).contains(&scaled);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the line above checked the range"
    )]
    in_range.then_some(scaled as u32)
}
