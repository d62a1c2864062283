//! Words that make up names of people, and words that do not.
//!
//! The list of given names only confirms what a cue beside a name says; by itself it finds nothing. It holds the
//! commoner names of the US Census of 1990 (public domain) and of some other countries.

use std::{collections::HashSet, sync::LazyLock};

/// Given names in small letters, one on a line.
static GIVEN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("given.txt").lines().collect());

/// Words that name companies, teams, products and things.
static GROUPS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "corporation|incorporated|corp|inc|ltd|llc|gmbh|company|co|plc|group|holding|holdings|department|dept|\
     team|teams|squad|board|committee|council|division|unit|office|desk|plan|plans|suite|room|package|bundle|\
     edition|tier|widget|product|products|cluster|pipeline|pipelines|staging|production|deploy|deployment|\
     build|release|backend|frontend|monitoring|monitor|alerting|automation|traders|trading|motors|bahn|\
     airlines|airways|artists|records|studio|studios|pictures|media|press|news|times|post|journal|magazine|\
     world|solutions|systems|system|services|service|kundenservice|software|technologies|technology|partners|\
     associates|consulting|logistics|industries|foods|pharma|energy|insurance|bank|capital|ventures|fund|\
     trust|foundation|institute|university|college|school|hospital|clinic|center|centre|hotel|restaurant|\
     cafe|bar|shop|store|market|stadium|airport|station|street|road|avenue|park|place|square|bridge|tower|\
     palace|island|islands|beach|valley|mountain|lake|river|city|town|county|conference|festival|award|\
     awards|prize|cup|league|club|band|orchestra|museum|gallery|theatre|theater|library|project|projects|\
     recruiter|recruiters|reviewer|editor|subscriber|member|members|partner|candidate|applicant|student|\
     teacher|parent|parents|neighbor|neighbour|robot|bot|assistant|agent|developer|developers|engineer|\
     engineers|engineering|marketing|accounting|finance|legal|operations|security|administrator|helpdesk|\
     hotline|newsletter|update|updates|boots|burgers|initiatives|relationships|mindshare|vortals|supply|\
     chain|framework|driver|server|client|token|table|column|index|query|schema|list|file|folder|boot|\
     retries|strategic|global|foreign|various|anonymous|change|advisory|general|premium|deluxe|standard|\
     basic|advanced|blue|red|green|black|white|navy|day|night|week|month|year"
        .split('|')
        .collect()
});

/// Persons of tales, and brands that bear the name of a person.
static FAMED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "martens|pepper|dash|beast|pac-man|oak|robot|bean|clean|evil|strange|dre|seuss|freeze|calvin klein|ralph lauren|tommy hilfiger|michael kors|hugo boss|giorgio armani|jack daniels|jack daniel|\
     jim beam|johnnie walker|morgan stanley|charles schwab|wells fargo|eli lilly|aston martin|\
     johnson controls|ben jerry|harry potter|peter pan|peter rabbit|robin hood|sherlock holmes|james bond|\
     mickey mouse|donald duck|bugs bunny|santa claus|spring boot|tom sawyer|huckleberry finn|jane eyre|\
     anna karenina|oliver twist|sam adams|samuel adams|marie curie|betty crocker|uncle ben|dr pepper|\
     warner bros|warner brothers|john deere|harley davidson|merrill lynch|goldman sachs|ernst young|\
     pratt whitney|rolls royce|paul smith|jimmy choo|kate spade|ray ban|sara lee|papa john|ada lovelace|\
     alan turing|albert einstein|isaac newton|john doe|jane doe|max mustermann|erika mustermann|\
     carnegie mellon|stephen king|mark down|may day|bill gates|elon musk|steve jobs|mary jane|betty boop|\
     charlie brown"
        .split('|')
        .collect()
});

/// Capitalised words that begin sentences, name things or places, but no person.
static NOT_NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "urgent|asap|fyi|also|attached|regarding|today|tomorrow|yesterday|the|this|that|these|those|please|all|team|everyone|everybody|sir|madam|customer|customers|support|\
     service|hiring|manager|human|resources|sales|friend|friends|colleague|colleagues|user|users|admin|there|\
     folks|valued|mr|mrs|ms|dr|miss|prof|project|report|meeting|monday|tuesday|wednesday|thursday|friday|\
     saturday|sunday|january|february|march|april|may|june|july|august|september|october|november|december|\
     inc|ltd|llc|gmbh|corp|company|bank|university|street|road|avenue|city|united|new|north|south|east|west|\
     san|los|microsoft|google|amazon|apple|openai|chrome|windows|linux|java|python|rust|docker|kubernetes|\
     azure|github|slack|stripe|what|who|when|where|why|how|can|could|would|will|is|are|do|does|did|have|has|\
     if|in|on|at|for|from|to|my|your|our|his|her|i|we|you|he|she|it|they|not|no|yes|thanks|thank|regards|\
     best|hello|hi|dear|re|fwd|subject|damen|herren|frau|herr|señor|señora|monsieur|madame|client|kunde|true|\
     false|null|none|unknown|test|name|full|first|last|ticket|order|invoice|account|phone|email|ship|bill|\
     reply|sent|date|id|number|type|value|data|error|info|warning|api|json|xml|sql|http|internal|external|\
     global|local|smart|pro|max|ultra|mini|pepper"
        .split('|')
        .collect()
});

/// Small words within names.
pub(super) const PARTICLES: &[&str] = &[
    "de", "da", "do", "dos", "das", "del", "della", "di", "du", "la", "le", "van", "von", "der", "den", "ter", "ten",
    "bin", "al", "el", "zu", "af", "y", "e",
];

/// A capital and small letters, hyphens and apostrophes between; no word that is known to be none.
pub(super) fn is_name(word: &str) -> bool {
    let mut letters = word.chars();
    let first = letters.next().is_some_and(char::is_uppercase);
    let rest = letters.clone().all(|letter| letter.is_alphabetic() || matches!(letter, '\'' | '-' | '’'));
    let small = letters.clone().filter(|letter| letter.is_lowercase()).count();
    let capitals = letters.filter(|letter| letter.is_uppercase()).count();
    first
        && rest
        && 1 <= small
        && capitals <= 1 + word.matches(['\'', '-']).count()
        && !NOT_NAMES.contains(word.to_lowercase().as_str())
}

/// Whether a word is a given name, or begins with one and a hyphen.
pub(super) fn is_given(word: &str) -> bool {
    let head = word.split('-').next().unwrap_or(word);
    GIVEN.contains(head.to_lowercase().as_str())
}

/// Whether several words are the name of a person by a list: a given name first, and what follows names no thing.
pub(super) fn is_listed(name: &str) -> bool {
    name.split(' ').next().is_some_and(is_given) && !is_thing(name)
}

/// Whether words name a company, a team, a product, a tale.
pub(super) fn is_thing(name: &str) -> bool {
    let lower = name.to_lowercase();
    FAMED.contains(lower.as_str())
        || lower.split([' ', '-']).any(|word| {
            GROUPS.contains(word)
                && !(is_given(word) || is_colour(word) && name.split(' ').next().is_some_and(is_given))
        })
}

/// Colours are surnames, too.
fn is_colour(word: &str) -> bool {
    matches!(word, "black" | "white" | "green" | "day" | "park" | "bridge" | "post" | "lake" | "parker" | "young")
}

/// Whether words look like a name to someone who knows none: no word of a trade, no ending that names do not have.
pub(super) fn is_likely(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "ize", "ise", "tion", "tions", "ment", "ments", "ness", "ities", "ity", "ive", "ives", "ized", "able", "ware",
        "ing", "ships", "ics",
    ];
    is_listed(name)
        || (!is_thing(name)
            && !name
                .to_lowercase()
                .split([' ', '-'])
                .any(|word| 5 <= word.len() && ENDINGS.iter().any(|end| word.ends_with(end))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_told_from_names_of_things() {
        for name in ["Jane White", "Karl-Josef Schacht", "José Naranjo", "Emma Blair"] {
            assert!(is_listed(name), "{name}");
        }
        for name in ["Acme Corporation", "Deluxe Suite", "Calvin Klein", "Backend Squad", "Synergize Vortals"] {
            assert!(!is_likely(name), "{name}");
        }
        assert!(is_likely("Hüseyin Yıldız"));
    }
}
