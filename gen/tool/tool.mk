# SPDX-License-Identifier: ISC
#
# vmmspec: questions about the specification. build/vmmspec works on this tree; what is installed
# has a copy of spec/ and of the models.

BINDIR		?= $(PREFIX)/bin
SHAREDIR	?= $(PREFIX)/share
TOOL_SHELLS	:= bash zsh
TOOL_COMPLETION	:= $(TOOL_SHELLS:%=$(BUILD)/completion/vmmspec.%)
TOOL_SOURCES	:= $(wildcard gen/*.py gen/model/*.py gen/schema/*.json gen/tool/*.py \
		gen/tool/*/*.py spec/*.yaml)

.PHONY: spec-tool install-spec-tool
spec-tool: $(BUILD)/vmmspec $(TOOL_COMPLETION)	## build/vmmspec, which explains the specification

$(BUILD)/vmmspec: gen/tool/vmmspec
	@mkdir -p $(@D)
	@sed '1s,.*,#!$(shell command -v $(PYTHON)),' $< > $@
	@chmod 755 $@

$(BUILD)/completion/vmmspec.%: $(TOOL_SOURCES)
	@mkdir -p $(@D)
	@$(PYTHON) -m gen completion $* > $@

install: install-spec-tool
install-spec-tool: spec-tool
	install -D -m 755 $(BUILD)/vmmspec "$(DESTDIR)$(BINDIR)/vmmspec"
	install -D -m 644 docs/vmmspec.1 "$(DESTDIR)$(MANDIR)/man1/vmmspec.1"
	install -D -m 644 $(BUILD)/completion/vmmspec.bash \
	    "$(DESTDIR)$(SHAREDIR)/bash-completion/completions/vmmspec"
	install -D -m 644 $(BUILD)/completion/vmmspec.zsh \
	    "$(DESTDIR)$(SHAREDIR)/zsh/site-functions/_vmmspec"
	for file in $(TOOL_SOURCES); do \
	    install -D -m 644 $$file "$(DESTDIR)$(SHAREDIR)/vmm/$$file" || exit 1; \
	done
