//! Which word somebody probably meant.
//!
//! Owns: the distance between two words and how far is too far.

/// Longer words are cut before they are compared, so that the work is bounded.
const WORD_CHARS_MAX: usize = 64;

/// The candidate that is nearest to `word`, if it is near enough to be meant: at most a third of the letters differ
/// (a swap of two neighbours counts once), or one is the beginning of the other.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = letters(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other = letters(candidate);
        let mut far = distance(&wanted, &other);
        let longer = wanted.len().max(other.len());
        // Two words without a letter in common are not near, however short.
        let bound = longer.div_ceil(3).min(longer.saturating_sub(1));
        let shorter = wanted.len().min(other.len());
        if far > bound && shorter >= 2 && wanted[..shorter] == other[..shorter] {
            far = bound;
        }
        if far <= bound && best.is_none_or(|(least, _)| far < least) {
            best = Some((far, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn letters(word: &str) -> Vec<char> {
    word.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase).filter(|c| *c != '-' && *c != '_').collect()
}

/// Optimal string alignment: insert, delete, replace, swap neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<_>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        let [two_back, back, row] = &mut rows;
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = back[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(back[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_back[j - 2] + 1);
            }
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, candidates: &[&str], meant: Option<&str>) {
        assert_eq!(nearest(word, candidates.iter().copied()), meant, "{word} among {candidates:?}");
    }

    #[test]
    fn a_slip_of_the_finger_finds_the_word() {
        check("ad", &["add", "value"], Some("add"));
        check("vaule", &["add", "value"], Some("value"));
        check("ADD", &["add"], Some("add"));
        check("killnode", &["kill", "kill-node"], Some("kill-node"));
        check("val", &["add", "value"], Some("value"));
    }

    #[test]
    fn a_quite_different_word_finds_nothing() {
        check("z", &["x"], None);
        check("subscribe", &["add", "value"], None);
        check("", &["add"], None);
        check("x", &[], None);
    }
}
