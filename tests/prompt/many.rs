//! Three thousand prompts: sentences of several languages with values of many kinds, all made from one seed. No value reaches
//! the provider, and every answer comes back whole, also where the model alters the placeholders.

use crate::{
    desk::{Desk, MODEL, check_head, options},
    support::{
        gateway::Gateway,
        http::Ask,
        simulator::{Reply, Request},
    },
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sociaro_gateway::masking::Detector;
use std::{collections::HashMap, fmt::Write as _, sync::Arc};

const PROMPTS: usize = 3000;
const CALLERS: usize = 6;

/// Numbers without end, the same every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[usize::try_from(self.below(of.len() as u64)).expect("a small number")]
    }

    fn text(&mut self, count: usize, alphabet: &str) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| letters[usize::try_from(self.below(letters.len() as u64)).expect("small")]).collect()
    }
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";
const MIXED: &str = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

fn email(dice: &mut Dice) -> String {
    let (name, number, host) = (dice.text(6, LOWER), dice.below(1000), dice.text(7, LOWER));
    let mark = dice.one(&[".", "_", "-", "+"]);
    format!("{name}{mark}{number}@{host}.{}", dice.one(&["com", "org", "de", "co.uk", "fr", "io"]))
}

fn card(dice: &mut Dice) -> String {
    let digits = format!("4{}", dice.text(14, DIGITS));
    let sum: u32 = digits
        .chars()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = digit.to_digit(10).expect("a digit");
            let doubled = digit * 2;
            if at % 2 == 0 { doubled / 10 + doubled % 10 } else { digit }
        })
        .sum();
    let digits = format!("{digits}{}", (10 - sum % 10) % 10);
    let mark = dice.one(&["", " ", "-"]);
    groups(&digits).join(mark)
}

fn groups(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(4).map(|group| group.iter().collect()).collect()
}

fn iban(dice: &mut Dice) -> String {
    let account = dice.text(18, DIGITS);
    // DE as 1314, and 00 for the check digits.
    let rest = format!("{account}131400")
        .chars()
        .fold(0, |rest, digit| (rest * 10 + digit.to_digit(10).expect("a digit")) % 97);
    let whole = format!("DE{:02}{account}", 98 - rest);
    if dice.below(2) == 0 {
        return whole;
    }
    groups(&whole).join(" ")
}

fn address(dice: &mut Dice) -> String {
    format!("{}.{}.{}.{}", 11 + dice.below(100), dice.below(256), dice.below(256), 1 + dice.below(254))
}

fn phone(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => format!("+49 30 {}", dice.text(7, "23456789")),
        1 => format!("+1 (212) 555-{}", dice.text(4, "23456789")),
        _ => format!(
            "+33 6 {} {} {} {}",
            dice.text(2, "12345"),
            dice.text(2, DIGITS),
            dice.text(2, DIGITS),
            dice.text(2, DIGITS)
        ),
    }
}

fn openai_key(dice: &mut Dice) -> String {
    format!("sk-proj-{}", dice.text(48, MIXED))
}

fn github_token(dice: &mut Dice) -> String {
    format!("ghp_{}", dice.text(36, MIXED))
}

fn aws_key(dice: &mut Dice) -> String {
    format!("AKIA{}", dice.text(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
}

fn token(dice: &mut Dice) -> String {
    let head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    format!("{head}.eyJzdWIiOiIxMjM0NTY3ODkw{}In0.{}", dice.text(8, "QRSTUVWXYZ"), dice.text(43, MIXED))
}

/// Makes a value.
type Make = fn(&mut Dice) -> String;

/// Values, each with a word that a text has beside it.
const MAKERS: [(&str, Make); 9] = [
    ("email", email),
    ("card", card),
    ("IBAN", iban),
    ("IP", address),
    ("phone", phone),
    ("key", openai_key),
    ("token", github_token),
    ("AWS_ACCESS_KEY_ID", aws_key),
    ("JWT", token),
];

/// Sentences with a place for a word and a value.
const SENTENCES: [&str; 16] = [
    "Please update the {word} of this customer to {value} before Friday.",
    "My {word} is {value}, is that all right?",
    "{word}: {value}",
    "Bitte prüfe {word} {value} und antworte höflich.",
    "Könnten Sie {word} {value} an die Buchhaltung weiterleiten?",
    "Merci de vérifier {word} {value} dès que possible.",
    "¿Puedes confirmar {word} {value} para mañana?",
    "Proszę sprawdzić {word} {value} jeszcze dziś.",
    "Пожалуйста, проверьте {word} {value} сегодня.",
    "{word} {value} を確認してください。",
    "请检查 {word} {value} ，谢谢。",
    "يرجى التحقق من {word} {value} اليوم.",
    "Controlla {word} ({value}) per favore.",
    "- {word} = \"{value}\"\n- status: open",
    "| {word} | {value} |\n|---|---|",
    "Olá! O {word} é {value}. Obrigado \u{1f64f}",
];

struct Case {
    mark: String,
    prompt: String,
    values: Vec<String>,
}

fn case(dice: &mut Dice, at: usize) -> Case {
    let mark = format!("many-{at:05}.");
    let mut case = Case { prompt: mark.clone(), mark, values: Vec::new() };
    for _ in 0..=dice.below(4) {
        let (word, make) = MAKERS[usize::try_from(dice.below(MAKERS.len() as u64)).expect("small")];
        let value = make(dice);
        let sentence = dice.one(&SENTENCES).replace("{word}", word).replace("{value}", &value);
        write!(case.prompt, " {sentence}").expect("text can be written");
        case.values.push(value);
    }
    // Some values stand there again.
    if dice.below(3) == 0 {
        write!(case.prompt, " Again: {}", case.values[0]).expect("text can be written");
        case.values.dedup();
    }
    case
}

/// The prompt as the provider got it, said back with its placeholders altered.
fn echo(request: &Request) -> Option<Reply> {
    let body = request.json()?;
    let messages = body["messages"].as_array()?;
    let text = messages.last()?["content"].as_str().filter(|text| text.starts_with("many-"))?;
    let number: usize = text.get(5..10)?.parse().ok()?;
    let mut said = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        said.push_str(before);
        let placeholder = behind.split_once('>').filter(|(name, _)| {
            name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        });
        let Some((name, behind)) = placeholder else {
            said.push('<');
            rest = behind;
            continue;
        };
        let altered = match number % 4 {
            0 => format!("<{name}>"),
            1 => format!("<{}>", name.to_lowercase()),
            2 => format!("[{name}]"),
            _ => format!("< {name} >"),
        };
        said.push_str(&altered);
        rest = behind;
    }
    said.push_str(rest);
    let body = json!({"choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]});
    Some(Reply::json(200, body.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_prompts_leave_without_a_value_and_come_back_whole() {
    let desk = Desk::at(Arc::new(Gateway::start(options())), "many");
    desk.gateway.simulator.script(echo);
    let mut dice = Dice(20_261_125);
    let cases: Vec<Case> = (0..PROMPTS).map(|at| case(&mut dice, at)).collect();
    let lanes: Vec<&[Case]> = cases.chunks(PROMPTS.div_ceil(CALLERS)).collect();
    let desk_of_all = &desk;
    join_all(lanes.into_iter().map(|lane| async move {
        let desk = desk_of_all;
        let mut connection = desk.gateway.client().connect().await;
        for case in lane {
            let ask = Ask::post("/", &json!({"prompt": case.prompt, "model": MODEL})).bearer(&desk.key.secret);
            let answer = connection.send(&ask).await;
            check_head(&answer);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let document: Value = answer.json();
            assert_eq!(document["response"], case.prompt, "{}", case.mark);
            let detected = document["meta"]["entitiesDetected"].as_u64().unwrap_or_default();
            assert!(detected >= case.values.len() as u64, "{detected} of {:?}", case.prompt);
        }
    }))
    .await;
    let detector = Detector::new().expect("the rules can be built");
    let requests = desk.gateway.simulator.requests();
    assert_eq!(requests.len(), PROMPTS);
    let by_mark: HashMap<String, &Request> = requests.iter().map(|request| (mark_of(request), request)).collect();
    for case in &cases {
        let request = by_mark[&case.mark];
        let sent = request.json().expect("JSON");
        let sent = sent["messages"].to_string();
        let findings = detector.find(&case.prompt);
        let found = findings.iter().map(|finding| case.prompt.get(finding.start..finding.end).expect("a part of it"));
        for value in case.values.iter().map(String::as_str).chain(found) {
            assert!(!request.contains(value.as_bytes()) && !sent.contains(value), "{value} left in {sent}");
        }
    }
}

fn mark_of(request: &Request) -> String {
    let body = request.json().unwrap_or_default();
    let last =
        body["messages"].as_array().and_then(|messages| messages.last()).map(|message| message["content"].clone());
    last.and_then(|text| text.as_str().and_then(|text| text.get(..11)).map(str::to_owned)).unwrap_or_default()
}
