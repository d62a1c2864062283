//! conf/prices.yaml, read as the program reads it: it has no faults, and what an answer costs by it is what one
//! works out by hand from the providers' price pages.
#![cfg(test)]

use sociaro_gateway::{
    base::clock::Timestamp,
    config::settings::{File, check},
    metering::reading::{Reading, Tokens, Units},
    pricing::{
        book::PriceBook,
        charge::{Charge, charge},
    },
};
use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
};

static BOOK: LazyLock<Arc<PriceBook>> = LazyLock::new(|| {
    let name = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf/prices.yaml");
    let prices = File { bytes: std::fs::read(&name), name };
    let empty = || File { name: PathBuf::from("empty"), bytes: Ok(Vec::new()) };
    check(&[empty(), empty(), prices], &|_| None).unwrap().prices
});

fn cost(provider: &str, model: &str, tier: &str, reading: &Reading) -> Charge {
    let reading =
        Reading { service_tier: Some(tier.to_owned()), model_served: Some(model.to_owned()), ..reading.clone() };
    charge(&BOOK, &reading, provider, "", Timestamp::from_millis(1_795_300_000_000))
}

/// Tokens read, read from a cache, and written.
fn text(input: u64, cached_input: u64, output: u64) -> Reading {
    Reading { tokens: Tokens { input, cached_input, output, ..Tokens::default() }, ..Reading::default() }
}

fn units(units: Units) -> Reading {
    Reading { units, ..Reading::default() }
}

#[test]
fn text_costs_what_one_works_out_by_hand() {
    for (provider, model, tier, (input, cached, output), dollars) in [
        // 86 × 2.5 + 1,920 × 0.25 + 300 × 15
        ("openai", "gpt-5.4-2026-03-05", "default", (86, 1_920, 300), "0.005195"),
        // the same at half price
        ("openai", "gpt-5.4", "flex", (86, 1_920, 300), "0.0025975"),
        ("openai", "gpt-5.4", "batch", (86, 1_920, 300), "0.0025975"),
        // 200,000 × 5 + 72,001 × 0.5 + 1,000 × 22.5: one token above the tier reprices everything
        ("openai", "gpt-5.4", "", (200_000, 72_001, 1_000), "1.0585005"),
        ("openai", "gpt-5.4", "", (200_000, 72_000, 1_000), "0.533"),
        ("openai", "gpt-5.4", "flex", (200_000, 72_001, 1_000), "0.52925025"),
        // 1,000 × 4 + 1,000 × 0.2 + 100 × 20; `fast` is how `priority` may be asked for
        ("openai", "gpt-6.1-sol-2026-10-14", "priority", (1_000, 1_000, 100), "0.0062"),
        ("openai", "gpt-6.1-sol", "fast", (1_000, 1_000, 100), "0.0062"),
        ("openai", "gpt-6.1-sol", "ultrafast", (1_000, 0, 100), "0.018"),
        ("openai", "gpt-6-astra", "priority", (300_000, 0, 10), "12.0015"),
        ("openai", "gpt-6-luna", "", (7, 3, 1), "0.00000123"),
        ("openai", "gpt-5.5", "priority", (1_000, 0, 1_000), "0.0875"),
        // the batch discount does not cover cached input: 1,000 × 1.25 + 1,000 × 1.25 + 100 × 5
        ("openai", "gpt-4o-2024-08-06", "batch", (1_000, 1_000, 100), "0.003"),
        ("openai", "gpt-4o-2024-05-13", "", (1_000, 0, 100), "0.0065"),
        ("openai", "gpt-5-mini-2025-08-07", "priority", (1_000, 0, 1_000), "0.00405"),
        ("openai", "text-embedding-3-large", "", (1_000_000, 0, 0), "0.13"),
        ("anthropic", "claude-opus-5-5", "standard", (1_000, 10_000, 100), "0.008"),
        ("anthropic", "claude-opus-5-5", "fast", (1_000, 10_000, 100), "0.016"),
        ("anthropic", "claude-opus-5-5", "priority", (1_000, 10_000, 100), "0.008"),
        ("anthropic", "claude-haiku-4-5-20251001", "batch", (1_000, 1_000, 1_000), "0.00305"),
        ("anthropic", "claude-haiku-5-5", "", (100_000, 0, 100), "0.01005"),
        ("anthropic", "claude-haiku-5-5", "", (100_000, 1, 100), "0.05025005"),
        ("anthropic", "claude-fable-5-1", "", (0, 1_000_000, 0), "0.25"),
        // thoughts are in output: 200,001 × 4 + 10 × 18
        ("google", "gemini-3.1-pro-preview", "", (200_001, 0, 10), "0.800184"),
        ("google", "gemini-3.1-pro-preview", "PRIORITY", (1_000, 0, 10), "0.003816"),
        ("google", "gemini-2.5-flash", "standard", (1_500, 1_024, 260), "0.00113072"),
        ("alibaba", "qwen3-max", "", (32_000, 0, 0), "0.0384"),
        ("alibaba", "qwen3-max", "", (32_001, 0, 0), "0.0768024"),
        ("alibaba", "qwen3-max", "", (128_001, 0, 1), "0.384018"),
        ("alibaba", "qwen3-coder-plus", "", (300_000, 0, 100), "1.806"),
        ("byteplus", "seed-1-6-250615", "default", (1_000, 1_000, 100), "0.0005"),
        ("byteplus", "dreamina-seedance-2-0-260128", "default", (0, 0, 108_900), "0.7623"),
        ("byteplus", "seedance-1-0-lite-t2v-250428", "flex", (0, 0, 100_000), "0.09"),
        // as xAI itself reports it: 9,880,000 ticks
        ("xai", "grok-4.7", "", (72, 128, 130), "0.000988"),
        ("deepseek", "deepseek-v4-flash", "", (104, 896, 20), "0.000060576"),
        ("mistral", "mistral-large-2512", "", (1_000, 0, 1_000), "0.002"),
        ("groq", "openai/gpt-oss-120b", "on_demand", (1_000, 1_000, 1_000), "0.000825"),
    ] {
        let charge = cost(provider, model, tier, &text(input, cached, output));
        assert_eq!(charge.cost.to_string(), dollars, "{provider} {model} {tier} {input} {cached} {output}");
        assert_eq!(charge.unpriced, [""; 0], "{model}");
    }
}

#[test]
fn cache_writes_and_searches_cost_what_one_works_out_by_hand() {
    let tokens = Tokens {
        input: 21,
        cached_input: 18_000,
        cache_write_5m: 1_000,
        cache_write_1h: 500,
        output: 393,
        reasoning: 100,
        ..Tokens::default()
    };
    let reading = Reading { tokens, units: Units { searches: 3, ..Units::default() }, ..Reading::default() };
    // 21 × 2 + 18,000 × 0.1 + 1,000 × 2.5 + 500 × 4 + 393 × 10, and three searches at a cent
    assert_eq!(cost("anthropic", "claude-sonnet-5-5", "standard", &reading).cost.to_string(), "0.040272");
    // half of the tokens, not of the searches
    assert_eq!(cost("anthropic", "claude-sonnet-5-5", "batch", &reading).cost.to_string(), "0.035136");
    // OpenAI's 12-hour cache: 21 × 2 + 18,000 × 0.2 + 1,000 × 2.5 + 500 × 5 + 393 × 10
    assert_eq!(cost("openai", "gpt-6-sol", "default", &reading).cost.to_string(), "0.042572");
    // no price for writing: as input. 21 × 2.5 + 18,000 × 0.25 + 1,500 × 2.5 + 393 × 15
    assert_eq!(cost("openai", "gpt-5.4", "default", &reading).cost.to_string(), "0.0441975");
}

#[test]
fn media_cost_what_one_works_out_by_hand() {
    let seconds = |seconds: u64| units(Units { millis: seconds * 1000, ..Units::default() });
    let images = |images| units(Units { images, ..Units::default() });
    let characters = |characters| units(Units { characters, ..Units::default() });
    let image_tokens = |input, image_output| Reading {
        tokens: Tokens { input, image_output, ..Tokens::default() },
        units: Units { images: 1, ..Units::default() },
        ..Reading::default()
    };
    let speech = Tokens { input: 100, audio_input: 1_000, audio_output: 500, output: 10, ..Tokens::default() };
    for (provider, model, reading, dollars) in [
        ("openai", "whisper-1", seconds(90), "0.009"),
        ("openai", "gpt-live-1", seconds(60), "0.05"),
        ("openai", "tts-1", characters(4_096), "0.06144"),
        ("openai", "gpt-image-2-2026-04-21", image_tokens(50, 4_160), "0.12505"),
        ("openai", "gpt-realtime-2.1", Reading { tokens: speech, ..Reading::default() }, "0.06464"),
        ("google", "gemini-2.5-flash-image", image_tokens(10, 1_290), "0.038703"),
        ("google", "imagen-3.0-generate-002", images(4), "0.16"),
        ("google", "veo-3.1-generate-preview", seconds(8), "3.2"),
        ("alibaba", "wan2.7-i2v", seconds(5), "0.75"),
        ("alibaba", "qwen-image-2.0-pro", images(2), "0.15"),
        ("alibaba", "qwen3-tts-flash", characters(10_000), "0.1"),
    ] {
        let charge = cost(provider, model, "", &reading);
        assert_eq!(charge.cost.to_string(), dollars, "{provider} {model}");
        assert_eq!(charge.unpriced, [""; 0], "{model}");
    }
}

#[test]
fn what_is_not_in_the_book_has_no_price() {
    for (provider, model) in [
        ("openai", "gpt-99"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::abc"),
        ("openai", "gpt-5-codex"),
        ("openai", "claude-opus-5"),
        ("google", "gemini-omni-1.1-flash"),
        ("byteplus", "seed-2-0-lite-260228"),
        ("mulerouter", "wan2.6-t2v"),
    ] {
        let charge = cost(provider, model, "", &text(1, 0, 1));
        assert_eq!((charge.cost.nanos(), charge.price_version.as_str()), (0, ""), "{provider} {model}");
        assert_eq!(charge.unpriced, ["input", "output"], "{provider} {model}");
    }
}

#[test]
fn a_records_price_version_names_one_row() {
    let charge = cost("openai", "gpt-5.4-2026-03-05", "flex", &text(300_000, 0, 1));
    assert_eq!(charge.price_version, "2026-11-22/openai/gpt-5.4#flex>272000");
    let mut versions: Vec<_> = BOOK.rows().iter().map(|row| BOOK.row_version(row)).collect();
    assert!(versions.len() >= 90, "{}", versions.len());
    versions.sort_unstable();
    assert!(versions.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn every_row_says_where_it_is_from_and_its_tiers_are_in_proportion() {
    for row in BOOK.rows() {
        assert!(!row.source.is_empty(), "{}", row.model);
        for variant in &row.variants {
            let dearer = |price: Option<_>, base: Option<_>| price.zip(base).is_none_or(|(price, base)| price >= base);
            let cheap = matches!(variant.service_tier.as_deref(), Some("flex" | "batch"));
            if !cheap {
                assert!(dearer(variant.prices.input, row.prices.input), "{} {variant}", row.model);
                assert!(dearer(variant.prices.output, row.prices.output), "{} {variant}", row.model);
            } else if variant.input_tokens_above.is_none() {
                assert!(dearer(row.prices.input, variant.prices.input), "{} {variant}", row.model);
                assert!(dearer(row.prices.cached_input, variant.prices.cached_input), "{} {variant}", row.model);
                assert!(dearer(row.prices.output, variant.prices.output), "{} {variant}", row.model);
            }
        }
    }
}
