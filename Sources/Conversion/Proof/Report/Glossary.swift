/// What the numbers of a report mean, a sentence each.
enum Glossary {
  static let entries: [(name: String, meaning: String)] = [
    ("bpw", "Bits a weight: all bytes of the tensors over the number of their elements."),
    (
      "PPL",
      "Perplexity: how many tokens the model is as good as undecided between, on this text. Only comparable on the same text, chunks and tokenizer."
    ),
    (
      "ΔPPL",
      "Perplexity less that of the reference; its error is that of paired differences and therefore smaller than either’s."
    ),
    (
      "KLD",
      "Mean Kullback-Leibler divergence of the predictions from the reference’s, in nats: what is lost, whether or not the text shows it. 0 is no change."
    ),
    (
      "Δp",
      "Change of the probability of the token that came. The mean tells whether the model got worse, the RMS how much it changed either way."
    ),
    ("same top p", "How often both models find the same token most likely."),
    (
      "relative error",
      "Length of the difference over length of the reference: of the hidden state after a layer, or of a tensor’s weights."
    ),
    ("±", "One standard error, from the spread over the tokens scored."),
  ]

  static func add(to page: inout Markup) {
    page.element("section", ["id": "words"]) { section in
      section.element("h2", "What the numbers mean")
      Provenance.add(entries.map { ($0.name, $0.meaning) }, to: &section)
    }
  }
}
