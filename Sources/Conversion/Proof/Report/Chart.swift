/// A drawing with two axes, as SVG that follows the page's colours. Lengths are in units of the viewBox, which at the
/// widths a page has are about pixels.
struct Chart {
  static let width = 420.0
  static let height = 250.0

  /// Where values are drawn; the rest holds labels.
  static let left = 52.0
  static let right = 410.0
  static let top = 30.0
  static let bottom = 208.0

  /// Makes it part of the page.
  /// - Parameters:
  ///   - id: unlike that of every other drawing of the page.
  ///   - title: what it shows, for those who do not see it; `description` says what there is to be seen.
  static func add(
    to page: inout Markup, id: String, title: String, description: String, _ body: (inout Markup) -> Void
  ) {
    page.element(
      "svg",
      [
        "class": "chart", "viewBox": "0 0 \(number(width)) \(number(height))", "role": "img",
        "aria-labelledby": "\(id)-title \(id)-text",
      ]
    ) { drawing in
      drawing.element("title", ["id": "\(id)-title"], title)
      drawing.element("desc", ["id": "\(id)-text"], description)
      body(&drawing)
    }
  }

  /// Lines across the drawing with their values at the left, and what they are above them.
  static func addRules(_ scale: Scale, to drawing: inout Markup, unit: String, label: ((Double) -> String)? = nil) {
    for tick in scale.ticks(most: 6) {
      let y = scale.place(tick.value)
      line(from: (left, y), to: (right, y), "grid", in: &drawing)
      text(label?(tick.value) ?? tick.label, at: (left - 6, y + 4), anchor: "end", in: &drawing)
    }
    text(unit, at: (0, 12), anchor: "start", in: &drawing)
  }

  /// The axis at the foot, with what it counts at the right below.
  static func addFoot(_ ticks: [(place: Double, label: String)], to drawing: inout Markup, unit: String) {
    line(from: (left, bottom), to: (right, bottom), "axis", in: &drawing)
    for tick in ticks { text(tick.label, at: (tick.place, bottom + 17), anchor: "middle", in: &drawing) }
    text(unit, at: (right, bottom + 36), anchor: "end", in: &drawing)
  }

  static func line(
    from start: (x: Double, y: Double), to end: (x: Double, y: Double), _ style: String, in drawing: inout Markup
  ) {
    drawing.empty(
      "line", ["class": style, "x1": number(start.x), "y1": number(start.y), "x2": number(end.x), "y2": number(end.y)])
  }

  static func text(
    _ text: String, at place: (x: Double, y: Double), anchor: String, style: String? = nil, in drawing: inout Markup
  ) {
    if let style {
      drawing.element(
        "text", ["class": style, "x": number(place.x), "y": number(place.y), "text-anchor": anchor], text)
    } else {
      drawing.element("text", ["x": number(place.x), "y": number(place.y), "text-anchor": anchor], text)
    }
  }

  /// A rectangle that says `title` when it is pointed at.
  static func bar(
    x: Double, width: Double, from base: Double, to y: Double, title: String, in drawing: inout Markup
  ) {
    drawing.element(
      "rect",
      [
        "class": "bar", "x": number(x), "y": number(min(base, y)), "width": number(max(width, 0.5)),
        "height": number((base - y).magnitude),
      ]
    ) { $0.element("title", title) }
  }

  static func path(through points: [(x: Double, y: Double)], _ style: String, in drawing: inout Markup) {
    guard points.count > 1 else { return }
    let steps = points.map { "\(number($0.x)) \(number($0.y))" }
    drawing.empty("path", ["class": style, "d": "M" + steps.joined(separator: " L")])
  }

  /// A length to a tenth, which is what makes the drawing the same everywhere.
  static func number(_ value: Double) -> String {
    let text = decimals(value.isFinite ? value : 0, 1)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
